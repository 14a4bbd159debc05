"""The flags of TPU-MLIR 1.30.2, as its commands' --help prints them; of run_qtable.py, which it has no longer, those that one does with."""

from __future__ import annotations

REFERENCE = {
    "model_transform": """
        --model_name --model_def --model_extern --model_data --input_shapes --input_types --output_names --test_input --test_result
        --cache_skip --tolerance --excepts --add_postprocess --pruning --onnx_sim --do_onnx_sim --debug --mlir --patterns_count
        --dynamic_shape_input_names --shape_influencing_input_names --dynamic --path_yaml --not_inference --op_custom_shape
        --enable_maskrcnn --replace_topk_indices --yuv_type --use_rewriter_config --struct_optimize --log_level --resize_dims
        --keep_aspect_ratio --keep_ratio_mode --mean --scale --pixel_format --channel_format --pad_value --pad_type --preprocess_list
        --debug_cmd
    """,
    "model_deploy": """
        --mlir --chip --processor --quantize --model --calibration_table --quantize_table --asymmetric --q_group_size --q_symmetric
        --quant_input --quant_output --quant_output_bf16 --quant_input_int8 --quant_output_int8 --quant_input_list --quant_output_list
        --high_precision --ignore_f16_overflow --test_input --gen_test_input --gen_test_seed --test_reference --compare_all --tolerance
        --correctness --excepts --skip_validation --cache_skip --fazzy_match --cuda --ip --pwd --fuse_preprocess --customization_format
        --aligned_input --num_device --num_core --group_by_cores --dynamic --opt --layer_group_config --shape_secs_search_strategy
        --disable_structure_detect_opt --addr_mode --same_addr --save_io_alone_config --use_io_alone_config --not_gen_bmodel
        --use_rewriter_config --disable_topo_sort --enable_lghash --lghash_dir --rvti --disable_affine --debug --log_level
        --disable_layer_group --disable_gdma_check --trunc_final --lg_debugger --op_divide --merge_weight --model_version --iomem_set
        --do_winograd --includeWeight --compress_mode --matmul_perchannel --opt_post_processor --weight_deduplicate --patterns_count
        --gelu_mode --time_fixed_subnet --subnet_params --io_alone --enable_maskrcnn --global_op_types --debug_cmd
    """,
    "run_calibration": """
        mlir_file --we --bc --sq --smc --dataset --data_list --input_num --cali_method --search --inference_num --bc_inference_num
        --tune_list --tune_num --histogram_bin_num --expected_cos --min_layer_cos --max_float_layers --chip --processor --fp_type
        --post_process --global_compare_layers --quantize_method_list --benchmark_method --kurtosis_analysis --part_quantize
        --custom_operator --part_asymmetric --mix_mode --q_group_size --pre_qtable --cluster -o --calibration_table --quantize_table
        --debug_cmd --debug_log
    """,
    "run_qtable": """
        mlir_file --dataset --data_list --input_num --inference_num --calibration_table --chip --processor --expected_cos --min_layer_cos
        --max_float_layers --fp_type --post_process --global_compare_layers --quantize_method_list --benchmark_method
        --base_quantize_table --loss_table --mix_mode -o --quantize_table --debug_cmd
    """,
    "model_runner": """
        --input --model --weight --output --dump_all_tensors --debug --out_fixed --cuda --decrypt_lib --ip --pwd
    """,
    "compare": """
        target_file ref_file --verbose -v --tolerance --excepts --full-array --stats_int8_tensor --int8_tensor_close --save -s --only_key
        --per_axis_compare --fuzzy_match --forall -a --key -k
    """,
}
