"""The Caffe plugin: a frontend that reads .prototxt and .caffemodel files, and runs them in OpenCV where that is installed."""
