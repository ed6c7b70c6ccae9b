"""The public C header of a model, and the functions behind it: names that begin with the model's.

The header is made for one model: it names every parameter, input and output with its shape. All
that the functions do is in runtime/; here they only get their names.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnc.runtime.manifest import Manifest, Port
from rnnc.runtime.ports import axes_of_extents, dim_text

from .names import c_name, c_names
from .programs import Steps

C_TYPES = {"real": "float", "int": "int32_t", "bool": "uint8_t"}


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a struct with what stands behind it."""

    declaration: str
    comment: str


def _members(fields: Sequence[Field]) -> str:
    width = max((len(field.declaration) for field in fields), default=0) + 1
    lines = (
        f"  {f.declaration + ';':{width}} /* {f.comment} */" if f.comment else f"  {f.declaration};"
        for f in fields
    )
    return "\n".join(lines)


def parameter_fields(manifest: Manifest) -> list[Field]:
    paths = [(path, spec) for spec in manifest.parameters for path in spec.paths]
    names = c_names(path for path, _ in paths)
    return [
        Field(f"const {C_TYPES[spec.dtype]} *{name}", f"{path} {_axes(map(str, spec.shape))}")
        for name, (path, spec) in zip(names, paths, strict=True)
    ]


def port_text(port: Port) -> str:
    """`[T][batch][64]`"""
    axes = [dim_text(port, number) for number in range(len(port.dims))]
    return _axes([*axes, "batch", *map(str, port.shape)])


def _axes(sizes: Iterable[str]) -> str:
    return "".join(f"[{size}]" for size in sizes) or "[1]"


def call_fields(manifest: Manifest) -> list[Field]:
    """The arguments of a call: all of eight bytes, in the order of runtime/forward.h."""
    extents = c_names(manifest.extents)
    fields = [Field(f"int64_t {name}", "steps of the longest row") for name in extents]
    fields.append(Field("int64_t batch", "rows"))
    fields.append(Field("int64_t threads", "that may work, the caller among them; 0 is 1"))
    fields += _port_fields(manifest.inputs, manifest.outputs, extents)
    for name, own in zip(extents, c_names(f"lengths_{n}" for n in extents), strict=True):
        text = f"in: [batch], each row's own {name}; NULL: {name}"
        fields.append(Field(f"const int32_t *{own}", text))
    fields.append(Field("const int64_t *strides", "see below; NULL: row-major arrays"))
    fields.append(Field("void *workspace", "that no other call uses at the same time"))
    fields.append(Field("int64_t workspace_size", "in bytes"))
    fields.append(Field("const void *pool", "of another library's threads; NULL: its own"))
    return fields


def _port_fields(
    inputs: Sequence[Port], outputs: Sequence[Port], taken: Sequence[str] = ()
) -> list[Field]:
    names = c_names((port.name for port in (*inputs, *outputs)), taken)
    fields: list[Field] = []
    for port, name in zip(inputs, names, strict=False):
        text = "" if port.default is None else f"; NULL: {port.default:g} everywhere"
        declaration = f"const {C_TYPES[port.dtype]} *{name}"
        fields.append(Field(declaration, f"in: {port_text(port)}{text}"))
    for port, name in zip(outputs, names[len(inputs) :], strict=True):
        fields.append(Field(f"{C_TYPES[port.dtype]} *{name}", f"out: {port_text(port)}"))
    return fields


def sizes(manifest: Manifest) -> list[str]:
    """Statics and shapes as macros."""
    prefix = manifest.prefix.upper()
    lines = [
        f"#define {prefix}_SIZE_{c_name(name)} {value}"
        for name, value in manifest.sizes.items()
        if isinstance(value, int) and not isinstance(value, bool)
    ]
    for port in (*manifest.inputs, *manifest.outputs):
        values = math.prod(port.shape)
        text = f"values of {port.name} at a point, in a row"
        lines.append(f"#define {prefix}_VALUES_{c_name(port.name)} {values} /* {text} */")
    return lines


def stride_text(manifest: Manifest) -> str:
    """Which numbers `strides` points to."""
    parts: list[str] = []
    for port in (*manifest.inputs, *manifest.outputs):
        parts += [f"{port.name}:{dim.name}" for dim in port.dims] + [f"{port.name}:batch"]
    return ", ".join(parts)


def rows_text(manifest: Manifest) -> str:
    shortened = [p.name for p in manifest.outputs if axes_of_extents(p)]
    if not shortened:
        return ""
    return f" Beyond a row's length {', '.join(shortened)} {_be(shortened)} zero."


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def step_fields(streamed: Steps) -> list[Field]:
    """The arguments of a step, in the order of runtime/stream.h."""
    fields = [Field("int64_t threads", "that may work, the caller among them; 0 is 1")]
    fields += _port_fields(streamed.inputs, streamed.outputs)
    fields.append(Field("const void *pool", "of another library's threads; NULL: its own"))
    return fields


def start_fields(streamed: Steps) -> list[Field]:
    """The inputs that decide how a stream begins."""
    return _port_fields(streamed.start, ()) or [
        Field("int64_t unused", "no input decides how a stream begins")
    ]


def header(manifest: Manifest, streamed: Steps | None) -> str:
    """`include/<model>.h`; without `streamed` the header says why."""
    name = manifest.prefix
    none = [Field("int64_t unused", "the model has no parameters")]
    text = _HEADER.format(
        p=name,
        P=name.upper(),
        model=manifest.model,
        rnnc=manifest.rnnc,
        target=f"{manifest.target.triple} {manifest.target.cpu}",
        abi=manifest.abi,
        interface=f"{manifest.interface:#018x}",
        sizes="\n".join(sizes(manifest)),
        parameters=_members(parameter_fields(manifest) or none),
        call=_members(call_fields(manifest)),
        strides=_wrapped(stride_text(manifest)),
        rows=rows_text(manifest),
        embedded=_EMBEDDED.format(p=name) if manifest.embedded else "",
        stream=_no_stream(manifest.no_steps) if streamed is None else _stream(name, streamed),
    )
    return "".join(f"{fitted}\n" for line in text.splitlines() for fitted in _fitted(line))


def _fitted(line: str) -> list[str]:
    """A line of a comment or a declaration in lines of at most 100 characters."""
    match = re.match(r" \*( *)", line)
    indent = match[0] if match else "    "
    return textwrap.wrap(
        line, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _no_stream(reason: str) -> str:
    return f"/* {_wrapped(f'This model cannot be run step by step: {reason}.')} */"


def _stream(name: str, streamed: Steps) -> str:
    rows = _COUNTED if streamed.step.extents else _UNCOUNTED
    return _STREAM.format(
        p=name,
        P=name.upper(),
        rows=rows,
        step=_members(step_fields(streamed)),
        start=_members(start_fields(streamed)),
    )


def _wrapped(text: str) -> str:
    return "\n * ".join(textwrap.wrap(text, 94))


def exported(text: str) -> list[str]:
    """The functions that a source of `functions` exports."""
    return re.findall(r"^API [^(]*?(\w+)\(", text, re.MULTILINE)


def functions(manifest: Manifest, streams: bool, embeds: bool) -> str:
    """The C source of what the header declares; behind the tables of the description."""
    name = manifest.prefix
    text = _FUNCTIONS.format(p=name, abi=manifest.abi)
    text += _EMBEDDED_FUNCTION.format(p=name) if embeds else ""
    return text + (_STREAM_FUNCTIONS.format(p=name) if streams else "")


_HEADER = """\
/* {model}: a recurrent network, made by rnnc {rnnc} for {target}.
 *
 *   {p}_model *model;
 *   if ({p}_load({P}_INTERFACE, "weights.safetensors", &model) != {P}_OK)
 *     puts({p}_error());
 *   {p}_call call = {{0}};      ... extents, batch, inputs, outputs
 *   call.workspace_size = {p}_workspace_size(&call);
 *   call.workspace = malloc(call.workspace_size);
 *   if ({p}_forward(model, &call) != {P}_OK)
 *     puts({p}_error());
 *   {p}_free(model);
 *
 * Functions return {P}_OK or another {p}_status; {p}_error says more. They allocate
 * memory and start threads only where it is said.
 */
#ifndef RNNC_{P}_H
#define RNNC_{P}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {P}_ABI {abi}
/* Differs between libraries that do not fit each other's headers. */
#define {P}_INTERFACE UINT64_C({interface})

{sizes}

typedef enum {p}_status {{
  {P}_OK = 0,
  {P}_VERSION = 1,   /* this header is of another library */
  {P}_ARGUMENT = 2,  /* NULL, not aligned, or a size that is none */
  {P}_WEIGHTS = 3,   /* names, shapes, types or values of parameters */
  {P}_FILE = 4,      /* a file that cannot be read, or is damaged */
  {P}_LENGTHS = 5,   /* a row's length is negative or beyond its extent */
  {P}_RANGE = 6,     /* an int input is out of its range */
  {P}_WORKSPACE = 7, /* the workspace is too small */
  {P}_MEMORY = 8,    /* no memory, or too little was given */
  {P}_STREAM = 9     /* a stream of another model, or with too many rows */
}} {p}_status;

/* What went wrong last in this thread, "" if nothing did. The text stays until the next error. */
const char *{p}_error(void);

/* The number that this library has for {P}_ABI. */
int {p}_abi(void);

/* ---- weights --------------------------------------------------------------------------------- */

/* All parameters, row-major. Arrays are read while a model is made, and not kept. */
typedef struct {p}_parameters {{
{parameters}
}} {p}_parameters;

/* A model with its weights, packed. It never changes: any number of threads may use it at once.
 * After {p}_free it must not be used again; that is not checked. */
typedef struct {p}_model {p}_model;

/* How many bytes of memory a model needs. */
int64_t {p}_model_size(void);

/* Makes a model from arrays, from a safetensors file, or from the bytes of one. Memory is allocated
 * for it. In a file parameters have the names that stand above in the comments; one array may hold
 * all of `a[0].W`, `a[1].W`, ... under the name `a.W`, one after another. On an error *model is
 * NULL. */
int {p}_create(uint64_t interface_, const {p}_parameters *parameters, {p}_model **model);
int {p}_load(uint64_t interface_, const char *path, {p}_model **model);
int {p}_load_bytes(uint64_t interface_, const void *bytes, size_t length, {p}_model **model);
{embedded}
/* As {p}_create, in memory of {p}_model_size() bytes that the caller gives and that stays
 * the caller's: it must outlive the model, whose {p}_free does nothing then. */
int {p}_create_in(uint64_t interface_, const {p}_parameters *parameters, void *memory,
    int64_t size, {p}_model **model);
int {p}_load_bytes_in(uint64_t interface_, const void *bytes, size_t length, void *memory,
    int64_t size, {p}_model **model);

/* Gives the memory of a model back; NULL is no model. */
void {p}_free({p}_model *model);

/* ---- whole sequences ------------------------------------------------------------------------- */

/* The arguments of a call; what is 0 or NULL is left out. Set all others to 0: {p}_call call =
 * {{0}}.{rows}
 *
 * `strides` are distances in elements, for arrays that are not row-major:
 * {strides}. */
typedef struct {p}_call {{
{call}
}} {p}_call;

/* How many bytes of workspace a call needs: by its extents and batch. A
 * negative number is an error's code. */
int64_t {p}_workspace_size(const {p}_call *call);

/* Runs the model. With more than one of `threads`, others are started when they are first wanted,
 * and kept; small calls run on one. */
int {p}_forward(const {p}_model *model, const {p}_call *call);

/* The threads of this library, for `pool` of calls of other models. */
const void *{p}_pool(void);

/* ---- one step at a time ---------------------------------------------------------------------- */

{stream}

#ifdef __cplusplus
}}
#endif
#endif
"""

_EMBEDDED = """
/* Makes a model from the weights that are in the library. */
int {p}_load_embedded(uint64_t interface_, {p}_model **model);
"""

_FUNCTIONS = """
#define API __attribute__((visibility("default")))

API const char *{p}_error(void) {{ return rnnc_error(); }}

API int {p}_abi(void) {{ return {abi}; }}

API int64_t {p}_model_size(void) {{ return rnnc_model_size(&description); }}

API int {p}_create(uint64_t interface, const void *const *parameters, rnnc_model **model) {{
  return rnnc_create(&description, interface, parameters, NULL, 0, model);
}}

API int {p}_load(uint64_t interface, const char *path, rnnc_model **model) {{
  return rnnc_load(&description, interface, path, model);
}}

API int {p}_load_bytes(uint64_t interface, const void *bytes, size_t length, rnnc_model **model) {{
  return rnnc_load_bytes(&description, interface, bytes, length, NULL, 0, model);
}}

API int {p}_create_in(uint64_t interface, const void *const *parameters, void *memory,
                      int64_t size, rnnc_model **model) {{
  int status = rnnc_check_memory(memory);
  return status ? status : rnnc_create(&description, interface, parameters, memory, size, model);
}}

API int {p}_load_bytes_in(uint64_t interface, const void *bytes, size_t length, void *memory,
                          int64_t size, rnnc_model **model) {{
  int status = rnnc_check_memory(memory);
  return status ? status
                : rnnc_load_bytes(&description, interface, bytes, length, memory, size, model);
}}

API void {p}_free(rnnc_model *model) {{ rnnc_free(model); }}

API int64_t {p}_workspace_size(const rnnc_word *call) {{
  return rnnc_forward_size(&description, call);
}}

API int {p}_forward(const rnnc_model *model, const rnnc_word *call) {{
  return rnnc_forward_call(&description, model, call);
}}

API const void *{p}_pool(void) {{ return rnnc_runtime_default(); }}
"""

_EMBEDDED_FUNCTION = """
API int {p}_load_embedded(uint64_t interface, rnnc_model **model) {{
  return rnnc_load_bytes(&description, interface, rnnc_embedded, sizeof rnnc_embedded, NULL, 0,
                         model);
}}
"""

_STREAM = """\
/* What is kept of a sequence from step to step, in memory of the caller. It holds nothing of the
 * model, and the same numbers come out as in whole sequences. One thread at a time may use it. */
typedef struct {p}_stream {p}_stream;

/* The inputs that decide how a stream begins. */
typedef struct {p}_start {{
{start}
}} {p}_start;

/* The arguments of a step: no strides, arrays are row-major. Outputs that a whole sequence has but
 * once are those of a sequence that ends with this step. */
typedef struct {p}_step_call {{
{step}
}} {p}_step_call;

/* How many bytes a stream of `batch` rows needs; a negative number is an error's code. */
int64_t {p}_stream_size(int64_t batch);

/* Makes a stream before its first step. `start` may be NULL where all of its inputs may. */
int {p}_stream_init(const {p}_model *model, int64_t batch, const {p}_start *start, void *memory,
    int64_t size, {p}_stream **stream);

/* Brings one row back to before its first step; `start` is of this row alone.{rows} */
int {p}_stream_reset(const {p}_model *model, {p}_stream *stream, int64_t row,
    const {p}_start *start);

/* Makes another stream of the same state, in memory of the same size. */
int {p}_stream_copy(const {p}_stream *stream, void *memory, int64_t size, {p}_stream **copy);

/* The next step of all rows. On an error the stream is as before. */
int {p}_step(const {p}_model *model, {p}_stream *stream, const {p}_step_call *call);"""

_UNCOUNTED = ""
_COUNTED = """
 * The model counts its steps: only a stream of one row can be reset."""

_STREAM_FUNCTIONS = """
API int64_t {p}_stream_size(int64_t batch) {{ return rnnc_stream_size(&description, batch); }}

API int {p}_stream_init(const rnnc_model *model, int64_t batch, const rnnc_word *start,
                        void *memory, int64_t size, rnnc_stream **stream) {{
  return rnnc_stream_init(&description, model, batch, start, memory, size, stream);
}}

API int {p}_stream_reset(const rnnc_model *model, rnnc_stream *stream, int64_t row,
                         const rnnc_word *start) {{
  return rnnc_stream_reset(&description, model, stream, row, start);
}}

API int {p}_stream_copy(const rnnc_stream *stream, void *memory, int64_t size,
                        rnnc_stream **copy) {{
  return rnnc_stream_copy(&description, stream, memory, size, copy);
}}

API int {p}_step(const rnnc_model *model, rnnc_stream *stream, const rnnc_word *call) {{
  return rnnc_stream_step(&description, model, stream, call);
}}
"""
