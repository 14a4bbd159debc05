"""Scheduling: groups fused through local memory, tiles, steps, placement and the order of loads, compute and stores.

``graph`` the network as the scheduler sees it; ``slices`` what a tile of a group needs; ``partition`` which operations form a
group and how it is tiled; ``steps`` the list of kernel calls with their transfers; ``place`` addresses in local memory over time;
``program`` all groups one after the other; ``search`` the programs that are tried; ``storage`` addresses in global memory;
``emission`` the commands.
"""
