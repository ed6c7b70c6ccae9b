"""The entry points of a compiled model: they unpack arguments and run the kernels.

    int32_t rnnc_forward(const rnnc_runtime *runtime, int32_t threads, void *const *pointers,
                         const int64_t *sizes);
    int64_t rnnc_forward_workspace(const int64_t *sizes);

`pointers`: inputs, outputs, weights, packs, lengths (int32 [batch] for each extent), workspace,
each in the order of the manifest. `sizes`: extents, batch, then for each input and output the
strides of its grid dims and its batch, in elements; value axes are contiguous. Weights, packs and
workspace are aligned to 64 bytes. real is float32, int is int32, bool is one byte. `rnnc_forward`
returns 0, `rnnc_forward_workspace` how many bytes it wants.

Where the manifest has a preparation, `rnnc_prepare` and `rnnc_prepare_workspace` compute once what
the parameters alone decide: the same arguments, without inputs and extents, for a batch of one.

The functions of the header call them (runtime/call.c, model.c); nobody else does.
"""

from __future__ import annotations

from rnnc.plan.arena import rooms
from rnnc.plan.plan import Plan
from rnnc.plan.stream import Stream

from ..tensorir.arguments import c_extent, external, placement, size_positions
from ..tensorir.layout import MEMORY, passed
from .program import GENERAL, PREPARE, SINGLE, packed, stream_plans
from .target import CpuTarget
from .work import WORTH_A_THREAD, WORTH_SHARING

_COMMON = """\
/* Made by rnnc from the model '{model}'. */
#include "rnnc_runtime.h"

/* Multiply-adds from which on a phase of a loop, and a call, are shared among threads. */
RNNC_EXPORT int64_t rnnc_worth_sharing = {worth_sharing};
RNNC_EXPORT int64_t rnnc_worth_a_thread = {worth_a_thread};

typedef struct call {{
  void *const *pointers;
  const int64_t *sizes;
  char *workspace;
}} call;

static inline int64_t floordiv(int64_t a, int64_t b) {{ return a / b - (a % b != 0 && a < 0); }}
static inline int64_t count(int64_t n) {{ return n > 0 ? n : 0; }}
static inline int64_t larger(int64_t a, int64_t b) {{ return a > b ? a : b; }}
"""

_ENTRY = """
int32_t {single}({arguments});
int32_t {general}({arguments});
int32_t rnnc_{entry}_work(int64_t *{work_sizes});

/* Where each state buffer begins in the workspace; returns its size in bytes. */
static int64_t rnnc_place_{entry}(const int64_t *sizes, int64_t *offsets) {{
{names}
  int64_t end = 0;
{places}
  return end;
}}

static int64_t rnnc_{entry}_workspace(const int64_t *sizes) {{
  int64_t offsets[{states} + 1];
  return rnnc_place_{entry}(sizes, offsets);
}}

static void rnnc_run_{entry}(void *argument, int32_t task, int32_t num_tasks, void *barrier) {{
  const call *c = argument;
  int64_t at[{states} + 1];
  rnnc_place_{entry}(c->sizes, at);
  (c->sizes[{batch}] == 1 ? {single} : {general})(
      {passed});
}}

static int32_t rnnc_{entry}(const rnnc_runtime *runtime, int32_t threads, void *const *pointers,
                            const int64_t *sizes) {{
  call c = {{pointers, sizes, pointers[{workspace}]}};
  int64_t work;
  rnnc_{entry}_work(&work{worked});
  if (runtime && threads > 1 && work >= rnnc_worth_a_thread)
    runtime->parallel(rnnc_run_{entry}, &c, threads);
  else
    rnnc_run_{entry}(&c, 0, 1, 0);
  return 0;
}}
"""

_TYPES = {"float32": "float", "int32": "int32_t", "uint8": "uint8_t"}


def entry_source(plan: Plan, target: CpuTarget, stream: Stream | None = None) -> str:
    """The C source of `rnnc_forward` and, for a plan with a preparation, `rnnc_prepare`; for a
    stream, of `rnnc_step` and `rnnc_begin`."""
    text = _COMMON.format(
        model=plan.name, worth_sharing=WORTH_SHARING, worth_a_thread=WORTH_A_THREAD
    )
    text += entry(plan, target, "forward", SINGLE, GENERAL)
    if plan.preparation is not None:
        text += entry(plan.preparation, target, "prepare", PREPARE, PREPARE)
    for name, part in stream_plans(stream):
        text += entry(part, target, name, f"rnnc_{name}_single", f"rnnc_{name}_general")
    return text


def entry(plan: Plan, target: CpuTarget, name: str, single: str, general: str) -> str:
    """The C source of `rnnc_NAME` and `rnnc_NAME_workspace` for a plan."""
    packs, lanes = len(packed(plan, target)), target.lanes("float32")
    callers = external(plan)
    states = [buffer for buffer in plan.buffers if buffer.role == "state"]
    pointer = {buffer.name: number for number, buffer in enumerate(callers)}
    state = {buffer.name: number for number, buffer in enumerate(states)}
    sizes = size_positions(plan)
    types = [_TYPES[MEMORY[buffer.dtype]] + " *" for buffer in passed(plan)]
    types += ["void *"] * packs + ["int32_t *"] * len(plan.extents)
    given = [
        f"(void *)(c->workspace + at[{state[buffer.name]}])"
        if buffer.role == "state"
        else f"c->pointers[{pointer[buffer.name]}]"
        for buffer in passed(plan)
    ]
    given += [f"c->pointers[{len(callers) + n}]" for n in range(packs + len(plan.extents))]
    numbers = [f"c->sizes[{n}]" for n in range(len(plan.extents) + 1)]
    for buffer in plan.buffers:
        if buffer.role in ("input", "output"):
            start = sizes[buffer.name]
            numbers += [f"c->sizes[{start + n}]" for n in range(len(buffer.dims) + 1)]
    types += ["int64_t"] * len(numbers) + ["int32_t", "int32_t", "void *", "int64_t"]
    tasks = ("task", "num_tasks", "barrier", "rnnc_worth_sharing")
    batch = len(plan.extents)
    names = [f"  const int64_t {c_extent(own)} = sizes[{n}];" for n, own in enumerate(plan.extents)]
    names += [f"  const int64_t batch = sizes[{batch}];", "  (void)batch;"]
    names += [f"  (void){c_extent(own)};" for own in plan.extents]
    return _ENTRY.format(
        entry=name,
        arguments=", ".join(types),
        single=single,
        general=general,
        names="\n".join(names),
        places="\n".join(
            placement([(state[buffer.name], buffer) for buffer in room], lanes)
            for room in rooms(plan)
        ),
        states=len(states),
        batch=batch,
        passed=",\n      ".join([*given, *numbers, *tasks]),
        work_sizes=", int64_t" * (batch + 1),
        worked="".join(f", sizes[{n}]" for n in range(batch + 1)),
        workspace=len(callers) + packs + len(plan.extents),
    )
