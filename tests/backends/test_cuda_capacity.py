"""Which weights stay on a chip."""

from __future__ import annotations

from dataclasses import replace

from rnnc.backends.cuda.capacity import CHIPS, Placed, residences, smallest

from rnnc.driver import Compilation, Request, standard_source


def placed(size: int) -> tuple[int, Placed]:
    """The blocks of an LSTM's loop on an H100, and where its weights are."""
    request = Request("stacked_lstm", {"X": 8, "H": size, "L": 1})
    plan = Compilation(standard_source("stacked"), request).plan
    [found] = residences(plan, CHIPS["sm_90"])
    [kernel] = found.kernels
    return found.blocks, kernel


def test_registers_come_first() -> None:
    blocks, one = placed(512)
    assert (one.home, one.each, blocks) == ("registers", 1, 64)  # a warp a unit, 8 in a block
    assert one.bytes == 4 * 512 * 512 * 4


def test_what_registers_do_not_hold_is_in_shared_memory() -> None:
    blocks, one = placed(1056)
    assert (one.home, one.each, blocks) == ("shared", 1, 132)


def test_what_does_not_fit_is_read_in_each_wave() -> None:
    blocks, one = placed(1280)
    assert (one.home, blocks) == ("cache", 0)
    assert "registers of a thread" in one.why
    assert placed(2048)[1].home == "memory"


def test_the_smaller_of_several_chips_counts() -> None:
    both = smallest(("sm_80", "sm_90"))
    assert both == replace(CHIPS["sm_80"], name="A100 and H100")


def test_sums_of_tensor_cores_need_shared_memory_too() -> None:
    """A block cannot have more than 227 KiB, what the kernel declares itself included."""
    sizes = {"X": 8, "H": 1280, "L": 1}
    request = Request("stacked_lstm", sizes, target="cuda", math="tf32")
    plan = Compilation(standard_source("stacked"), request).plan
    chip = replace(CHIPS["sm_90"], weights=0, processors=264)
    [one] = residences(plan, chip)
    assert one.kernels[0].home == "shared"
    sums = 4 * 8 * 4 * 16 * 8  # bytes, warps, gates, rows, columns
    [barely] = residences(plan, replace(chip, shared=one.shared + sums))
    assert barely.kernels[0].home == "cache"
    [enough] = residences(plan, replace(chip, shared=one.shared + sums + 16 * 8))
    assert enough.kernels[0].home == "shared"


def test_more_products_than_owners() -> None:
    """Four directions at once, each with owners of its own, on a chip that has three."""
    plan = Compilation(standard_source("md_rnn"), Request("mdlstm_4way", {"X": 3, "H": 4})).plan
    [found] = residences(plan, replace(CHIPS["sm_90"], processors=3, threads=32))
    assert sorted(one.home for one in found.kernels) == ["cache", *3 * ["registers"]]
    assert "3 owners" in found.kernels[0].why


def test_all_blocks_read_what_does_not_stay() -> None:
    sizes = {"X": 8, "H": 512, "L": 16}
    request = Request("stacked_lstm", sizes, target="cuda", order="wavefront")
    plan = Compilation(standard_source("stacked"), request).plan
    [found] = residences(plan, CHIPS["sm_90"])
    assert sorted(one.home for one in found.kernels) == ["memory", "registers"]
    assert found.blocks == 132
