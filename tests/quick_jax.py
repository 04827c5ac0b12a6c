"""Flags with which XLA compiles quickly: tests run most compiled code once.

At level 0 a value can be computed twice, once with its product and sum rounded together. A maximum
then equals none of the values that it is of, and its gradient is NaN. AVX has no such instruction;
other processors keep to level 1. The 42 tests of one layer's properties took 24 s of processor time
at level 1, and 9 s at level 0.
"""

import platform

_UNFUSED = "--xla_backend_optimization_level=0 --xla_cpu_max_isa=AVX"
FLAGS = " ".join(
    [
        _UNFUSED if platform.machine() == "x86_64" else "--xla_backend_optimization_level=1",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
)
