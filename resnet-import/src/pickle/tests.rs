//! Pickles, written by hand.

use crate::error::Error;
use crate::pickle::{Node, Value, read};

const LIMIT: usize = 1000;

/// `{"a": [1, 2.5, None], "b": (True, b"x")}`, protocol 4.
const PLAIN: &[u8] = b"\x80\x04\x95\x2a\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94](K\x01G\x40\x04\0\0\0\0\0\0Ne\x8c\x01b\x88C\x01x\x86u.";

#[test]
fn values_are_what_was_pickled() {
    let pickle = read(PLAIN, LIMIT).unwrap();
    assert_eq!(pickle.len, PLAIN.len());
    let [(a, list), (b, tuple)] = *pickle.dict(pickle.root).unwrap() else { panic!("two entries") };
    assert_eq!([a, b], [Value::Text("a"), Value::Text("b")]);
    assert_eq!(pickle.items(list).unwrap(), [Value::Int(1), Value::Float(2.5), Value::None]);
    assert_eq!(pickle.items(tuple).unwrap(), [Value::Bool(true), Value::Bytes(b"x")]);
}

#[test]
fn numbers_have_their_signs_and_sizes() {
    let pickle =
        read(b"\x80\x02(J\xff\xff\xff\xffM\x00\x01\x8a\x02\x00\x80\x8a\x00I01\nI-7\nL12L\nF0.5\nt.", LIMIT)
            .unwrap();
    let expected = [
        Value::Int(-1),
        Value::Int(256),
        Value::Int(-32768),
        Value::Int(0),
        Value::Bool(true),
        Value::Int(-7),
        Value::Int(12),
        Value::Float(0.5),
    ];
    assert_eq!(pickle.items(pickle.root).unwrap(), expected);
}

#[test]
fn a_value_that_is_referred_to_twice_is_one_node_and_a_cycle_is_a_node_that_has_itself() {
    let pickle = read(b"\x80\x02]q\0h\0a.", LIMIT).unwrap();
    assert_eq!(pickle.nodes().len(), 1);
    assert_eq!(pickle.items(pickle.root).unwrap(), [pickle.root]);

    // Each of 200 tuples has the one before twice: 2^200 values, 200 nodes.
    let mut bomb = b"\x80\x02)".to_vec();
    bomb.extend(b"2\x86".repeat(200));
    bomb.push(b'.');
    assert_eq!(read(&bomb, LIMIT).unwrap().nodes().len(), 201);
}

#[test]
fn functions_are_written_down_and_never_called() {
    let pickle = read(b"\x80\x02ctorch\nSize\nK\x02K\x03\x86\x85R.", LIMIT).unwrap();
    let (module, name, arguments) = pickle.call(pickle.root).unwrap();
    assert_eq!((module, name), ("torch", "Size"));
    assert_eq!(pickle.items(arguments[0]).unwrap(), [Value::Int(2), Value::Int(3)]);

    let pickle = read(b"\x80\x02cargparse\nNamespace\n)\x81}X\x02\0\0\0lrK\x01sb.", LIMIT).unwrap();
    let Some(Node::Call { state, .. }) = pickle.node(pickle.root) else { panic!("a call") };
    assert_eq!(pickle.dict(*state).unwrap(), [(Value::Text("lr"), Value::Int(1))]);
}

#[test]
fn dictionaries_of_all_kinds_are_dictionaries() {
    let one = [(Value::Text("a"), Value::Int(1))];
    for pickled in [
        &b"\x80\x02ccollections\nOrderedDict\n)RU\x01aK\x01s}U\x09_metadataNsb."[..],
        b"\x80\x02ccollections\nOrderedDict\n](](U\x01aK\x01ee\x85R.",
        b"\x80\x02ccollections\nCounter\n}U\x01aK\x01s\x85R.",
        b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RU\x01aK\x01s.",
        b"(dS'a'\nI1\ns.",
        b"(S'a'\nI1\nd.",
    ] {
        let pickle = read(pickled, LIMIT).unwrap();
        assert_eq!(pickle.dict(pickle.root).unwrap(), one, "{}", pickled.escape_ascii());
    }
}

#[test]
fn other_functions_are_refused_by_name_and_place() {
    let refused = |pickled: &[u8]| match read(pickled, LIMIT).unwrap_err() {
        Error::Refused(message) => message,
        other => panic!("{other}"),
    };
    let message = refused(b"\x80\x02cposix\nsystem\nU\x04true\x85R.");
    assert!(message.contains("`posix.system` (byte 2)") && message.contains("ever executed"), "{message}");
    assert!(refused(b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.").contains("`builtins.eval`"));
    assert!(refused(b"\x80\x02c__builtin__\ngetattr\n.").contains("`__builtin__.getattr`"));
    // {"model": {"head": <Linear>}}
    let message = refused(b"\x80\x02}(X\x05\0\0\0modelK\x01X\x05\0\0\0model}X\x04\0\0\0headctorch.nn.modules.linear\nLinear\n)\x81");
    assert!(message.starts_with("`model.head` asks for `torch.nn.modules.linear.Linear`"), "{message}");
    assert!(message.contains("torch.save(model.state_dict(), \"model.pth\")"), "{message}");
    // What a class is looked up by at run time, extension codes, and instances of old classes.
    for opcode in [&b"\x80\x02\x82\x01."[..], b"(cos\nsystem\no.", b"(ios\nsystem\n."] {
        refused(opcode);
    }
}

#[test]
fn damaged_pickles_are_errors() {
    for len in 0..PLAIN.len() {
        assert!(read(&PLAIN[..len], LIMIT).is_err(), "{len} bytes");
    }
    for damaged in [
        &b"."[..],
        b"0.",
        b"(.",
        b"\x85.",
        b"a.",
        b"K\x01a.",
        b"}K\x01s.",
        b"h\x07.",
        b"u.",
        b"}(K\x01u.",
        b"K\x01)R.",
        b"ctorch\nSize\nK\x01R.",
        b"K\x01Nb.",
        b"\x80\x09.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"I1x\n.",
        b"(K\x01(\x86.",
    ] {
        assert!(read(damaged, LIMIT).is_err(), "{}", damaged.escape_ascii());
    }
}

#[test]
fn a_pickle_of_too_many_values_is_refused() {
    let error = read(&b"]".repeat(2000), LIMIT).unwrap_err();
    assert!(error.to_string().contains("too many values up to byte 1000"), "{error}");
}
