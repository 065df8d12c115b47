//! Pickles that no `torch.save` wrote, and their refusals.

use super::*;

/// Protocol 2, `body`, the end.
fn pickle(body: &[u8]) -> Vec<u8> {
    [b"\x80\x02", body, b"."].concat()
}

#[track_caller]
fn refused(body: &[u8], expected: &str) {
    let error = parse(&pickle(body)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_call_to_the_system_is_an_object_of_that_name() {
    for (body, expected, at) in [
        (&b"cos\nsystem\nq\x00X\x09\x00\x00\x00rm -rf /\n\x85R"[..], "os.system", 2),
        // Protocol 4 takes names from the stack.
        (b"\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R", "posix.system", 17),
        // INST, OBJ, NEWOBJ and NEWOBJ_EX.
        (b"(\x8c\x02lsios\nsystem\n", "os.system", 7),
        (b"(cos\nsystem\n\x8c\x02lso", "os.system", 3),
        (b"cos\nsystem\n\x8c\x02ls\x85\x81", "os.system", 2),
        (b"cos\nsystem\n\x8c\x02ls\x85}\x92", "os.system", 2),
        // The attribute of an object, called.
        (b"cbuiltins\ngetattr\n\x8c\x01a\x85R\x8c\x01b\x85R", "builtins.getattr", 2),
    ] {
        let read = parse(&pickle(body)).unwrap();
        let Value::Opaque(object) = read.root() else { panic!("{:?}", read.root()) };
        assert_eq!((&*object.name, object.at), (expected, at));
    }
}

#[test]
fn objects_hold_what_they_are_given() {
    let read = parse(&pickle(b"ca\nB\n)\x81(K\x01K\x02e(K\x03K\x04u}\x62")).unwrap();
    let Value::Opaque(object) = read.root() else { panic!("{:?}", read.root()) };
    assert_eq!((object.parts.len(), object.items.len()), (3, 1), "a tuple and two items, one pair");
    assert!(object.state.is_some());
    // An object may hold itself.
    parse(&pickle(b"ca\nB\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb")).unwrap();
    let long = [b"c".as_slice(), "é".repeat(500).as_bytes(), b"\nB\n"].concat();
    let read = parse(&pickle(&long)).unwrap();
    let Value::Opaque(object) = read.root() else { panic!("{:?}", read.root()) };
    assert_eq!(object.name.len(), 200, "names are cut");
}

#[test]
fn instructions_that_no_checkpoint_has_are_refused() {
    // EXT1, PERSID, NEXT_BUFFER and others.
    for opcode in [0x82, b'P', 0x97, 0x00, 0xff] {
        refused(&[opcode], "which nothing that is read here needs");
    }
    refused(b"(o", "makes an object of no class");
    refused(b"K\x01)\x81", "makes an object of an int");
    let many =
        [b"ctorch._utils\n_rebuild_tensor_v2\n(".as_slice(), &b"N".repeat(17), b"tR"].concat();
    refused(&many, "with 17 arguments");
}

#[test]
fn values_that_contain_themselves_are_refused() {
    refused(b"]q\x00h\x00a", "a list in its pickle contains itself");
    refused(b"}q\x00K\x01h\x00s", "a dict in its pickle contains itself");
    // Through another: a = [b], b = (a,).
    refused(b"]q\x00h\x00\x85q\x01a", "contains itself");
    // The same twice is no circle.
    parse(&pickle(b"](K\x01q\x00h\x00h\x00e")).unwrap();
}

#[test]
fn pickles_that_are_cut_or_out_of_order_are_named() {
    refused(b"X\xff\xff\xff\x7fabc", "ends too soon");
    refused(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends too soon");
    refused(b"a", "takes more values than the stack holds");
    refused(b"(K\x01a", "takes more values than the stack holds");
    refused(b"t", "lacks a mark");
    refused(b"h\x07", "an entry of its memo that it never wrote");
    refused(b"K\x01K\x02a", "appends to an int");
    refused(b"}(K\x01u", "a key without a value");
    refused(b"K\x01NR", "calls an int with None");
    refused(b"K\x01}b", "gives attributes to an int");
    refused(b"cno end", "a line without an end");
    assert!(parse(b"\x80\x09.").unwrap_err().to_string().contains("has protocol 9"));
    assert!(parse(b"").unwrap_err().to_string().contains("ends too soon"));
    for cut in 0..6 {
        assert!(parse(&pickle(b"K\x01K\x02\x86")[..cut]).is_err());
    }
}

#[test]
fn storages_and_tensors_must_be_well_formed() {
    let storage = |parts: &[u8]| [b"(", parts, b"tQ"].concat();
    let text =
        |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let float = b"ctorch\nFloatStorage\n";
    let whole = |count: &[u8]| {
        storage(&[&text("storage"), &float[..], &text("0"), &text("cpu"), count].concat())
    };
    let read = parse(&pickle(&whole(b"K\x04"))).unwrap();
    assert!(matches!(read.root(), Value::Storage { dtype: DType::F32, count: 4, .. }));
    refused(&whole(b"J\xff\xff\xff\xff"), "a storage of -1 numbers");
    refused(&storage(&text("storage")), "that is not a storage");
    refused(
        &storage(&[&text("module"), &float[..], &text("0"), &text("cpu"), b"K\x04"].concat()),
        "in an unknown way",
    );
    let tensor = |size: &[u8]| {
        let rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(";
        [&rebuild[..], &whole(b"K\x04"), b"K\x00", size, b"K\x01\x85\x89NtR"].concat()
    };
    assert!(matches!(parse(&pickle(&tensor(b"K\x04\x85"))).unwrap().root(), Value::Tensor { .. }));
    refused(&tensor(b"J\xfe\xff\xff\xff\x85"), "of size, stride or offset -2");
    refused(&tensor(b"N"), "None where sizes belong");
    let many = [b"(".as_slice(), &b"K\x01".repeat(65), b"t"].concat();
    refused(&tensor(&many), "a tensor of 65 axes");
}

#[test]
fn numbers_keep_their_sign() {
    let int = |body: &[u8]| parse(&pickle(body)).unwrap().root().clone();
    assert_eq!(int(b"\x8a\x00"), Value::Int(0));
    assert_eq!(int(b"\x8a\x01\xff"), Value::Int(-1));
    assert_eq!(int(b"\x8a\x02\xff\x00"), Value::Int(255));
    assert_eq!(int(b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80"), Value::Int(i64::MIN));
    assert_eq!(int(b"J\xfe\xff\xff\xff"), Value::Int(-2));
}

/// Every byte of a short pickle replaced by every other.
#[test]
fn no_single_byte_makes_it_panic() {
    let whole = pickle(b"ccollections\nOrderedDict\n)Rq\x00(X\x01\x00\x00\x00aK\x01u}q\x01b");
    parse(&whole).unwrap();
    for place in 0..whole.len() {
        for byte in 0..=255 {
            let mut damaged = whole.clone();
            damaged[place] = byte;
            drop(parse(&damaged));
        }
    }
}
