"""Hostile pickles by family, each drawn from a generator of random numbers.

Every family is a function of the generator and of a path, at which a file appears when
code of the pickle is run.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pickle_programs import (
    BYTE,
    Call,
    Global,
    Raw,
    encode,
    program,
    storage,
    tensor,
)

CORE = "numpy.core.multiarray"
HISTORY = Global("mmengine.logging.history_buffer", "HistoryBuffer")
GETATTR = Global("__builtin__", "getattr")
_ATTRIBUTES = (
    "__init__ __globals__ __class__ __dict__ __subclasses__ mro __builtins__ update "
    "__init__.__globals__ _function _statistics_methods register_statistics __code__ "
    "func_globals __reduce__ __defaults__ __setstate__ from_numpy"
)


def code(rng: Random, canary: str) -> object:
    """Calls of what could do anything."""
    shell, python = f"touch {canary}", f"open({canary!r}, 'w')"
    module, name, *arguments = rng.choice(
        [
            *(("os", name, shell) for name in ("system", "popen")),
            *(("posix", name, shell) for name in ("system", "mkdir")),
            *(("subprocess", name, shell) for name in ("call", "getoutput", "Popen")),
            *(
                (m, n, python)
                for m in ("__builtin__", "builtins")
                for n in ("eval", "exec")
            ),
            ("builtins", "open", canary, "w"),
            ("builtins", "__import__", "antigravity"),
            ("io", "open", canary, "w"),
            ("_io", "FileIO", canary, "w"),
            ("importlib", "import_module", "antigravity"),
            ("pathlib", "Path.touch", canary),
            ("os", "mkdir", canary),
            ("shutil", "copy", "/etc/hostname", canary),
            ("timeit", "timeit", python),
            ("runpy", "run_path", canary),
            ("code", "interact"),
            ("pty", "spawn", shell),
            ("pickle", "loads", program(Call(Global("os", "mkdir"), (canary,)))),
            ("_pickle", "loads", b"cos\nmkdir\n."),
            ("marshal", "loads", b"\xe3"),
            ("ctypes", "CDLL", canary),
            ("ctypes", "string_at", 0),
            ("operator", "methodcaller", "system", shell),
            ("functools", "partial", Global("os", "system"), shell),
            ("types", "FunctionType", Global("os", "system")),
            ("builtins", "getattr", Global("os", "path"), "os"),
            ("torch", "load", canary),
            ("torch", "save", 1, canary),
            ("torch.hub", "load", canary, "model"),
            ("torch.jit", "load", canary),
            ("torch.jit._script", "unpackage_script_module", 1, 2, 3, 4),
            ("torch.storage", "_load_from_bytes", b"cos\nmkdir\n."),
            ("torch.serialization", "load", canary),
            ("torch._utils", "_rebuild_wrapper_subclass", *range(9)),
            ("torch.utils.data._utils.collate", "default_collate", [1]),
            ("torch.nn.modules.linear", "Linear", 1, 1),
            ("numpy", "fromfile", "/etc/hostname"),
            ("numpy", "save", canary, [1]),
            ("numpy.testing._private.utils", "runstring", python, {}),
            ("mmengine.config.config", "Config.fromstring", python, ".py"),
            ("mmengine.fileio.handlers.pickle_handler", "PickleHandler"),
            ("yaml", "unsafe_load", f"!!python/object/apply:os.mkdir [{canary}]"),
            ("collections", "namedtuple", "x", python),
            ("argparse", "Namespace"),
            ("mmswinv2.checkpoints.pickles", "_Function", Global("os", "system")),
        ]
    )
    function, arguments = Global(module, name), tuple(arguments)
    wrapped = encode(function) + encode(arguments)
    return rng.choice(
        [
            Call(function, arguments),
            Call(function, arguments, new=True),
            Call(Call(GETATTR, (function, "__call__")), arguments),
            Raw(
                b"("
                + b"".join(map(encode, arguments))
                + f"i{module}\n{name}\n".encode()
            ),
            Raw(b"(" + encode(function) + b"".join(map(encode, arguments)) + b"o"),
            Raw(encode(module) + encode(name) + b"\x93" + encode(arguments) + b"R"),
            Raw(wrapped + b"}\x92"),
            Raw(b"\x82\x01" + encode(arguments) + b"R"),
            Call(HISTORY, (), Call(function, arguments), new=True),
            Call(Global("collections", "OrderedDict"), (), Call(function, arguments)),
            Call(
                Global("torch._tensor", "_rebuild_from_type_v2"),
                (function, function, arguments, {}),
            ),
        ]
    )


def chains(rng: Random, canary: str) -> object:
    """Ways from what is allowed to something else."""
    allowed = rng.choice(
        [
            HISTORY,
            GETATTR,
            Global("collections", "OrderedDict"),
            Global("collections", "Counter"),
            Global("torch._utils", "_rebuild_tensor_v2"),
            Global("torch", "device"),
            Global("torch", "float32"),
            Global("numpy", "dtype"),
            Global("numpy", "ndarray"),
            Global(CORE, "_reconstruct"),
            Global(CORE, "scalar"),
            Global("_codecs", "encode"),
            Global("torch", "Size"),
            Global("__builtin__", "set"),
        ]
    )
    attribute = rng.choice(_ATTRIBUTES.split())
    state = rng.choice(
        [
            {attribute: allowed},
            (None, {attribute: allowed}),
            (None, {"__defaults__": (canary,), "__class__": HISTORY}),
            {"statistics_methods": {"max": allowed}, "max_length": 1},
            [allowed],
            ({"_function": allowed}, {"_function": allowed}),
            (allowed, 0, (1,), (1,)),
        ]
    )
    return rng.choice(
        [
            Call(GETATTR, (allowed, attribute)),
            Call(GETATTR, (Call(GETATTR, (allowed, attribute)), "__call__")),
            Call(Call(GETATTR, (allowed, attribute)), (canary,)),
            Raw(encode(allowed) + encode(state) + b"b"),
            Call(allowed, (), state),
            Call(allowed, (allowed,), state),
            Call(allowed, (), state, new=True),
            Call(Global("collections", "OrderedDict"), (), {attribute: allowed}),
            Raw(encode(allowed) + encode("x") + encode(1) + b"s"),
            Raw(encode(allowed) + b"(" + encode(1) + b"e"),
            {allowed: 1},
            {Call(HISTORY, (), state, new=True): 1},
            Call(HISTORY, (), state, new=True),
        ]
    )


def arrays(rng: Random, canary: str) -> object:
    """Arrays and types of numpy that would read elsewhere, or follow pointers."""
    name = rng.choice(
        ["O8", "O", "|O", "V8", "f8", "i4", "S3", "U2", "M8", "f16", "c16"]
    )
    name = rng.choice([name, "f8,O", canary, 8, None, ("f8", 3), [("a", "O")]])
    order = rng.choice("<>|=x")
    state = rng.choice(
        [
            (3, order, None, None, None, -1, -1, 0),
            (3, order, None, None, None, 2**31 - 1, 8, 63),
            (3, order, ("f8", (10**6,)), ("a",), {"a": ("f8", -8)}, 8, 8, 27),
            (4, order, None, None, None, 0, 0, 0, {}),
            None,
        ]
    )
    dtype = Call(
        Global("numpy", "dtype"), (name, rng.choice([0, 1, False]), True), state
    )
    plain = Call(Global("numpy", "dtype"), ("f8", False, True))
    size = rng.choice([0, 1, 8, 64, 255])
    data = rng.choice([bytes(size), BYTE * size, "text", None, [1, 2], 2**70])
    shape = rng.choice([(), (1,), (8,), (-1,), (2**62,), (2**40, 2**40), (0,), "x", 8])
    array = Global("numpy", "ndarray")
    made = Call(Global(CORE, "_reconstruct"), (array, (0,), b"b"))
    kind = rng.choice([dtype, plain, plain])
    return rng.choice(
        [
            Call(
                made.function,
                made.arguments,
                (1, shape, kind, rng.choice([0, 1]), data),
            ),
            Call(made.function, (array, shape, b"b"), (1, shape, kind, False)),
            Call(array, (shape, kind, data, -(2**40), (8,))),
            Call(array, (shape, kind), new=True),
            Call(Global(CORE, "scalar"), (kind, data)),
            Call(
                Global("numpy._core.numeric", "_frombuffer"), (data, kind, shape, "C")
            ),
            Call(Global("numpy", "frombuffer"), (data, kind)),
            Call(HISTORY, (), {"_log_history": made, "max_length": 10**18}, new=True),
            Call(
                HISTORY,
                (),
                {
                    key: Call(
                        made.function, made.arguments, (1, shape, kind, False, data)
                    )
                    for key in ("_log_history", "_count_history")
                }
                | {"max_length": rng.choice([0, -1, 10**18, "x"])},
                new=True,
            ),
            kind,
        ]
    )


def tensors(rng: Random, canary: str) -> object:
    """Tensors that reach beyond their data, take no end of memory, or are none."""
    number = rng.choice(
        [-(2**63), -8, -1, 0, 1, 8, 63, 64, 65, 2**31, 2**62, 2**64, 1.5]
    )
    odd = rng.choice([number, None, canary, (number,), "1"])
    size = tuple(
        rng.choice([0, 1, 2, 8, 64, 10**6, 2**40, -1]) for _ in range(rng.randrange(5))
    )
    stride = tuple(rng.choice([0, 1, 8, 64, 2**40, -1]) for _ in size)
    kinds = ("Float", "Double", "Bool", "ComplexDouble", "QInt8", "Untyped", "BFloat16")
    kind = Global("torch", f"{rng.choice(kinds)}Storage")
    data = rng.choice(
        [storage(), storage(count=odd), storage(kind=kind), storage(key=odd)]
    )
    utils = "torch._utils"
    hooks = Call(Global("collections", "OrderedDict"))
    rebuilds = (
        ("_rebuild_tensor", (data, number, size, stride)),
        (
            "_rebuild_tensor_v3",
            (data, 0, size, stride, False, hooks, Global("torch", "uint16")),
        ),
        (
            "_rebuild_sparse_tensor",
            (Global("torch", "sparse_coo"), (tensor(), tensor(), size)),
        ),
        ("_rebuild_qtensor", (data, 0, size, stride, (1, 0.1, 3), False, hooks)),
        (
            "_rebuild_meta_tensor_no_storage",
            (Global("torch", "float32"), size, stride, False),
        ),
        ("_rebuild_nested_tensor", (tensor(), tensor(), tensor(), tensor())),
        (
            "_rebuild_device_tensor_from_numpy",
            (1, Global("torch", "float32"), "cpu", False),
        ),
        ("_rebuild_parameter", (odd, False, hooks)),
        ("_rebuild_parameter_with_state", (tensor(), True, hooks, {"x": odd})),
    )
    name, arguments = rng.choice(rebuilds)
    huge = rng.choice([10**9, 10**12, 2**62, -1])
    return rng.choice(
        [
            tensor(data, number, size, stride),
            tensor(storage(), number, (8,), (rng.choice([0, 1, 8, 9]),)),
            tensor(storage(), 0, size, stride),
            tensor(data, odd, odd, odd),
            Call(Global(utils, name), arguments),
            Call(
                Global("torch", rng.choice(["Tensor", "FloatTensor", "LongTensor"])),
                (huge,),
            ),
            Call(Global("torch.storage", "UntypedStorage"), (huge,)),
            Call(Global("__builtin__", "bytearray"), (huge,)),
            Call(Global("torch", "Size"), ([huge, odd],)),
            Call(Global("torch", "device"), (rng.choice(["cuda:99", "x", odd]),)),
            Raw(encode(tensor()) + encode((tensor(), 0, (2**40,), (1,))) + b"b"),
            Raw(encode(tensor()) + encode({"requires_grad": True}) + b"b"),
            data,
        ]
    )


def bombs(rng: Random, canary: str) -> object:
    """Few bytes that ask for much time or memory."""
    depth = rng.choice([200, 5000, 100_000])
    doubled = b"h\x01h\x01\x86q\x01" * 60
    return rng.choice(
        [
            Raw(b"](" * depth + b"e" * depth),
            Raw(b"(" * depth + b"t" * depth),
            Raw(b"}(K\x01" * depth + b"N" + b"u" * depth),
            Raw(b"](]q\x01" + doubled + b"e"),
            Raw(b"]q\x01(h\x01e"),
            Raw(b"}q\x01(X\x01\x00\x00\x00ah\x01u"),
            Raw(b"]q\x01(h\x01h\x01h\x01e"),
            Raw(b"]q\x01(h\x01tq\x02"),
            Raw(b"Nr" + rng.randbytes(3) + b"\x7f"),
            Raw(b"NN" + b"p1000000000\n"),
            Raw(b"X" + rng.randbytes(3) + b"\x7f" + b"abc"),
            Raw(b"\x8d" + rng.randbytes(7) + b"\x00abc"),
            Raw(b"\x96" + rng.randbytes(5) + b"\x00\x00\x00abc"),
            Raw(b"\x8b" + rng.randbytes(3) + b"\x7f" + b"1"),
            Raw(b"\x8aU" + rng.randbytes(85)),
            Raw(b"I" + b"9" * 100_000 + b"\n"),
            Raw(b"(" + b"N" * 1_100_000 + b"t"),
            Call(
                Global("_codecs", "encode"),
                ("a" * 10**5, rng.choice(["idna", "punycode", "zip"])),
            ),
            Call(Global("collections", "Counter"), ("a" * 1000,)),
            Call(Global("collections", "Counter"), ({"a": 1},), {"x": 1}),
            {f"{canary}{i}": i for i in range(1000)},
            Raw(encode(tensor(size=(2**20, 2**20), stride=(0, 0)))),
            [tensor(size=(2**12, 2**12), stride=(0, 0)) for _ in range(100)],
        ]
    )


def damaged(rng: Random, canary: str) -> Raw:
    """The steps of a sound checkpoint with some changed."""
    steps = bytearray(encode(sound(None)))
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(steps))
        change = rng.randrange(5)
        if change == 0:
            steps[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            steps[at] = rng.choice(b"Rb\x81cQ0tesu(}])NqhX\x8aKJG.")
        elif change == 2:
            del steps[at : at + rng.randrange(1, 9)]
        elif change == 3:
            steps[at:at] = rng.choice([encode(tensor()), rng.randbytes(4), b"hqR"])
        else:
            other = rng.randrange(len(steps))
            steps[at : at + 8] = steps[other : other + rng.randrange(1, 30)]
    return Raw(bytes(steps))


FAMILIES: tuple[Callable[[Random, str], object], ...] = (
    *(code, chains, arrays, tensors, bombs, damaged),
)


def sound(extra: object) -> dict:
    """A training checkpoint, with something in its log that need not be."""
    dtype = Call(
        Global("numpy", "dtype"), ("f8", False, True), (3, "<", *[None] * 3, -1, -1, 0)
    )
    made = Call(Global(CORE, "_reconstruct"), (Global("numpy", "ndarray"), (0,), b"b"))
    array = Call(made.function, made.arguments, (1, (2,), dtype, False, bytes(16)))
    log = {"_log_history": array, "_count_history": array, "max_length": 1000}
    log["statistics_methods"] = {"min": Call(GETATTR, (HISTORY, "min"))}
    state = {"step": 3, "exp_avg": tensor(storage("1"))}
    return {
        "meta": {"epoch": 1, "iter": 2, "seed": 0, "dataset_meta": {"classes": ("a",)}},
        "state_dict": {"w": tensor()},
        "message_hub": {
            "log_scalars": {"loss": Call(HISTORY, (), log, new=True)},
            "runtime_info": {
                "extra": extra,
                "lr": Call(Global(CORE, "scalar"), (dtype, bytes(8))),
            },
            "resumed_keys": {},
        },
        "optimizer": {
            "state": {0: state},
            "param_groups": [{"lr": 0.1, "params": [0]}],
        },
        "param_schedulers": [
            {"milestones": Call(Global("collections", "Counter"), ({8: 1},))}
        ],
    }
