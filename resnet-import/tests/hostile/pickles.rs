//! Pickles that call functions, that blow up, and that contain themselves.

use std::path::PathBuf;

use crate::archive::checkpoint;
use crate::{imported, rejected, survived};

/// A pickle of `torch.save` of before PyTorch 1.6: a magic number, a version, the sizes of types, the object, its storages.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00.".to_vec();
    file.extend(pickle);
    file.extend(b"\x80\x02]q\x00.");
    file
}

/// A dictionary that has this value under the key `weight`.
fn held(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02}X\x06\x00\x00\x00weight", value, b"s."].concat()
}

/// What would be there if one of the functions were called.
fn sentinel() -> PathBuf {
    std::env::temp_dir().join(format!("resnet-import-called-{}", std::process::id()))
}

/// Every way to refer to a function and to call it.
fn calls(module: &str, name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let sentinel = sentinel();
    let command = match name {
        "eval" | "exec" => format!("S'open({:?}, \"w\")'\n", sentinel.display()),
        _ => format!("S'touch {}'\n", sentinel.display()),
    };
    let command = command.as_bytes();
    let global = format!("c{module}\n{name}\n").into_bytes();
    let global = &*global;
    let stacked = {
        let (module_len, name_len) = (module.len() as u8, name.len() as u8);
        [b"\x8c", &[module_len][..], module.as_bytes(), b"\x8c", &[name_len], name.as_bytes(), b"\x93"]
            .concat()
    };
    let instance = format!("i{module}\n{name}\n").into_bytes();
    let ordered = b"ccollections\nOrderedDict\n)R";
    let rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(";
    vec![
        ("mentioned", global.to_vec()),
        ("REDUCE", [global, b"(", command, b"tR"].concat()),
        ("STACK_GLOBAL", [&*stacked, command, b"\x85R"].concat()),
        ("NEWOBJ", [global, command, b"\x85\x81"].concat()),
        ("NEWOBJ_EX", [global, command, b"\x85}\x92"].concat()),
        ("INST", [b"(", command, &*instance].concat()),
        ("OBJ", [b"(", global, command, b"o"].concat()),
        ("BUILD", [&ordered[..], b"}S'__setstate__'\n", global, b"sb"].concat()),
        ("in a state", [&ordered[..], b"}S'k'\n", global, b"(", command, b"tRsb"].concat()),
        ("in arguments", [&rebuilt[..], global, b"(", command, b"tRI0\n))tR"].concat()),
        ("in a persistent id", [b"(S'storage'\n", global, b"(", command, b"tRS'0'\nS'cpu'\nI1\ntQ"].concat()),
        (
            "in REDUCE in BUILD in NEWOBJ",
            [&b"ccollections\nOrderedDict\n)\x81}(S'a'\n]("[..], global, b"(", command, b"tReub"].concat(),
        ),
        ("popped again", [global, b"(", command, b"tR0N"].concat()),
    ]
}

#[test]
fn functions_are_not_called() {
    let functions = [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("builtins", "open"),
        ("subprocess", "Popen"),
        ("subprocess", "check_output"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("importlib", "import_module"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.serialization", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("pathlib", "Path.write_text"),
        ("torch", "os.system"),
        ("torch._utils", "os.system"),
        ("collections", "os.system"),
        ("_codecs", "open"),
        ("shutil", "rmtree"),
        ("webbrowser", "open"),
        ("runpy", "run_path"),
        ("pickle", "loads"),
        ("copyreg", "_reconstructor"),
        ("timeit", "timeit"),
        ("pty", "spawn"),
    ];
    for (module, name) in functions {
        for (how, call) in calls(module, name) {
            let words = match how {
                // What has opcodes that `torch.save` does not write is refused for these.
                "NEWOBJ_EX" | "INST" | "OBJ" => "",
                _ if name == "_load_from_bytes" => "pickle",
                _ => name,
            };
            let label = format!("{module}.{name} {how}");
            rejected(&format!("{label}.pth"), &checkpoint(&held(&call), &[0; 16]), words);
            rejected(
                &format!("{label}-bare.pth"),
                &checkpoint(&[b"\x80\x02", &*call, b"."].concat(), &[0; 16]),
                words,
            );
            rejected(&format!("{label}-legacy.pth"), &legacy(&held(&call)), words);
            // As the first of the pickles, and as nothing but a pickle.
            rejected(&format!("{label}-first.pth"), &held(&call), words);
            rejected(&format!("{label}-first-bare.pth"), &[b"\x80\x02", &*call, b"."].concat(), words);
        }
    }
    assert!(!sentinel().exists(), "a function was called");
}

#[test]
fn extensions_and_objects_of_others_are_refused() {
    for (name, value) in [
        ("EXT1", &b"\x82\x01"[..]),
        ("EXT2", b"\x83\x01\x00"),
        ("EXT4", b"\x84\x01\x00\x00\x00"),
        ("NEXT_BUFFER", b"\x97"),
        ("no opcode", b"\xff"),
        ("REDUCE of a text", b"S'os.system'\n)R"),
        ("REDUCE of nothing", b"R"),
        ("BUILD of a number", b"I1\n}b"),
        ("STACK_GLOBAL of numbers", b"I1\nI2\n\x93"),
        ("no such memo", b"h\x07"),
        ("a mark that is not there", b"t"),
        ("an odd dictionary", b"(I1\nd"),
    ] {
        rejected(&format!("{name}.pth"), &checkpoint(&held(value), &[]), "byte");
    }
    // Both are values of no concern, and so the file has no tensors.
    rejected("PERSID.pth", &checkpoint(&held(b"Pos.system\n"), &[]), "tensors");
    rejected("nothing.pth", &checkpoint(&held(b"N"), &[]), "tensors");
}

#[test]
fn pickles_do_not_blow_up() {
    // Lists of a list twice, of that twice..: 2^64 items, if somebody counts them.
    let doubled = [&b"]q\x00"[..], &b"0(h\x00h\x00lq\x00".repeat(64)].concat();
    rejected("doubled lists.pth", &checkpoint(&held(&doubled), &[]), "tensors");
    let doubled =
        [&b"}q\x00"[..], &b"0}(X\x01\x00\x00\x00ah\x00X\x01\x00\x00\x00bh\x00uq\x00".repeat(64)].concat();
    rejected("doubled dictionaries.pth", &checkpoint(&held(&doubled), &[]), "tensors");
    // The same, as arguments and states of objects.
    let doubled = [&b")q\x00"[..], &b"0ctorch\nSize\n(h\x00h\x00tRh\x00bq\x00".repeat(64)].concat();
    rejected("doubled objects.pth", &checkpoint(&held(&doubled), &[]), "tensors");
    // A list that is copied again and again.
    let copied =
        [&b"]("[..], &b"N".repeat(100_000), b"eq\x00", &b"0ccollections\ndeque\nh\x00\x85R".repeat(10_000)]
            .concat();
    rejected("copied lists.pth", &checkpoint(&held(&copied), &[]), "");

    for (name, opening) in [
        ("marks", &b"("[..]),
        ("lists", b"]("),
        ("tuples", b"N\x85"),
        ("dictionaries", b"}(N"),
        ("calls", b"ctorch\nSize\n("),
        ("memo", b"Nr\xff\xff\xff\xff"),
        ("long memo", b"N\x94"),
        ("copies", b"N2"),
        ("empty lists", b"]"),
        ("empty dictionaries", b"}"),
        ("globals", b"cargparse\nNamespace\n"),
        ("persistent", b"NQ"),
    ] {
        for times in [1_000, 1_000_000] {
            rejected(&format!("{name} x {times}.pth"), &checkpoint(&held(&opening.repeat(times)), &[]), "");
            rejected(&format!("{name} x {times}-legacy.pth"), &legacy(&held(&opening.repeat(times))), "");
        }
    }
    // Nested, and closed again.
    for times in [1_000, 1_000_000] {
        let value = [&b"]q\x00"[..], &b"\x85".repeat(times)].concat();
        rejected(&format!("nested tuples x {times}.pth"), &checkpoint(&held(&value), &[]), "tensors");
        let value = [b"}X\x01\x00\x00\x00a".repeat(times), b"N".to_vec(), b"s".repeat(times)].concat();
        rejected(&format!("nested dictionaries x {times}.pth"), &checkpoint(&held(&value), &[]), "");
    }
}

#[test]
fn lengths_are_checked() {
    for (name, value) in [
        ("BINUNICODE8", &b"\x8d\x00\x00\x00\x00\x00\x00\x00\x10abc"[..]),
        ("BINBYTES8", b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("BYTEARRAY8", b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ("BINUNICODE", b"X\xff\xff\xff\xff"),
        ("BINSTRING", b"T\xff\xff\xff\x7f"),
        ("LONG4", b"\x8b\xff\xff\xff\x7f"),
        ("LONG4 below zero", b"\x8b\xff\xff\xff\xff"),
        ("LONG1", b"\x8a\xff"),
        ("INT", b"I999999999999999999999999999999999\n"),
        ("PUT", b"Np99999999999999999999\n"),
        ("a line without end", b"Vabc"),
    ] {
        rejected(&format!("{name}.pth"), &checkpoint(&held(value), &[]), "");
    }
    rejected("protocol.pth", &checkpoint(b"\x80\x63}.", &[]), "protocol");
}

#[test]
fn what_contains_itself_ends() {
    let list = b"]q\x00h\x00a";
    rejected("a list of itself.pth", &checkpoint(&held(list), &[]), "tensors");
    rejected("itself.pth", &checkpoint(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.", &[]), "tensors");
    let state = b"\x80\x02}q\x00(X\x0a\x00\x00\x00state_dictX\x01\x00\x00\x00xu.";
    rejected("a text for a dictionary.pth", &checkpoint(state, &[]), "tensors");
    let rebuilt = b"ctorch._utils\n_rebuild_parameter\n(]q\x01h\x01I01\n)tRq\x00h\x00b";
    rejected("a parameter of itself.pth", &checkpoint(&held(rebuilt), &[]), "");
}

#[test]
fn shapes_and_strides_are_checked() {
    let storage = "(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI4\ntQ";
    let tensor = |offset: &str, dims: &[&str], strides: &[&str]| {
        let tuple = |numbers: &[&str]| {
            format!("({}t", numbers.iter().map(|n| format!("L{n}L\n")).collect::<String>())
        };
        let value = format!(
            "ctorch._utils\n_rebuild_tensor_v2\n({storage}L{offset}L\n{}{}I00\nccollections\nOrderedDict\n)RtR",
            tuple(dims),
            tuple(strides)
        );
        checkpoint(&held(value.as_bytes()), &[0; 16])
    };
    let large = (1u64 << 60).to_string();
    let larger = u64::MAX.to_string();
    imported("whole.pth", &tensor("0", &["4"], &["1"]));
    rejected("2^60.pth", &tensor("0", &[&large], &["1"]), "weight");
    rejected("2^60 of one number.pth", &tensor("0", &[&large], &["0"]), "weight");
    rejected("2^40 of one number.pth", &tensor("0", &["1048576", "1048576"], &["0", "0"]), "weight");
    rejected("2^28 of one number.pth", &tensor("0", &["268435456"], &["0"]), "weight");
    rejected("2^64 - 1.pth", &tensor("0", &[&larger], &["1"]), "");
    rejected("2^120.pth", &tensor("0", &[&large, &large], &["0", "0"]), "weight");
    rejected("strides.pth", &tensor("0", &["2", "2"], &[&large, &large]), "weight");
    rejected(
        "strides that overflow.pth",
        &tensor("0", &["4", "4"], &["9223372036854775807", "9223372036854775807"]),
        "",
    );
    rejected("offset.pth", &tensor("4", &["1"], &["1"]), "weight");
    rejected("large offset.pth", &tensor("9223372036854775807", &["4"], &["1"]), "weight");
    rejected("below zero.pth", &tensor("-1", &["4"], &["1"]), "weight");
    rejected("sizes below zero.pth", &tensor("0", &["-4"], &["1"]), "weight");
    rejected("strides below zero.pth", &tensor("3", &["4"], &["-1"]), "weight");
    rejected("fewer strides.pth", &tensor("0", &["2", "2"], &["1"]), "weight");
    imported("nothing, but large.pth", &tensor("0", &["0", &large, &large], &["1", "1", "1"]));
    let many = vec!["1"; 1_000];
    drop(survived("1000 sizes.pth", &tensor("0", &many, &many)));
    // Ten thousand tensors, each a few bytes of the file and 32 MB of memory.
    let view = format!("ctorch._utils\n_rebuild_tensor_v2\n({storage}I0\n(I8000000\nt(I0\ntI00\nNtR");
    let views: String = (0..10_000).map(|i| format!("S'{i}'\n{view}s")).collect();
    rejected("many views.pth", &checkpoint(format!("}}{views}.").as_bytes(), &[0; 16]), "memory");
}
