//! Tables that cannot be built, and what is said of them.

use super::*;

#[track_caller]
fn check(change: impl FnOnce(&mut Architecture), expected: &str) {
    let mut table = Architecture::published();
    change(&mut table);
    let error = table.validate().unwrap_err();
    assert_eq!(error.to_string(), expected);
    // Whatever takes a table says the same, and none of it panics.
    let store = VarStore::new(Device::Cpu);
    let built = Xception::new(store.root(), &table, 10).unwrap_err();
    assert_eq!(built, BuildError::OutOfRange(error.clone()));
    assert!(store.is_empty(), "nothing was built");
    let counted = Summary::new(&table, 10, 299).unwrap_err();
    assert_eq!(counted, summary::Error::OutOfRange(error.clone()));
    assert_eq!(table.with_output_stride(32).unwrap_err(), error);
}

#[test]
fn a_table_without_channels_is_refused() {
    check(|table| table.c_in = 0, "c_in must be between 1 and 65536, got 0");
    check(
        |table| table.stem[1] = StemConv { c_out: -64, ..table.stem[1] },
        "stem[1].c_out must be between 1 and 65536, got -64",
    );
    check(
        |table| table.entry_flow[1].widths[0] = 0,
        "entry_flow[1].widths[0] must be between 1 and 65536, got 0",
    );
    check(
        |table| table.exit_separables.widths = vec![1536, 0],
        "exit_separables.widths[1] must be between 1 and 65536, got 0",
    );
}

#[test]
fn a_row_without_widths_is_refused() {
    check(
        |table| table.entry_flow[2] = ResidualRow::new(&[], 1),
        "entry_flow[2].widths must be at least one width, got none",
    );
    check(
        |table| table.middle_flow.row.widths.clear(),
        "middle_flow.row.widths must be at least one width, got none",
    );
    assert_eq!(ResidualRow::new(&[], 1).c_out(), 0);
}

#[test]
fn strides_that_do_not_move_are_refused() {
    check(|table| table.stem[0].stride = 0, "stem[0].stride must be between 1 and 1024, got 0");
    check(
        |table| table.exit_flow[0].stride = -2,
        "exit_flow[0].stride must be between 1 and 1024, got -2",
    );
    check(
        |table| table.separable.stride = 2,
        "separable.stride must be 1: the rows say how far they stride and dilate, got 2",
    );
}

#[test]
fn endless_repeats_are_refused() {
    check(
        |table| table.middle_flow.repeats = usize::MAX,
        "middle_flow.repeats must be between 0 and 1024, got 18446744073709551615",
    );
    check(
        |table| table.fully_connected = Some(FullyConnected { layers: 0, width: 8 }),
        "fully_connected.layers must be between 1 and 1024, got 0",
    );
}

#[test]
fn groups_must_divide_every_layer() {
    check(
        |table| table.separable.groups = Groups::Count(5),
        "separable.groups must be a divisor of the 64 channels that the depthwise half of entry_flow[0].widths[0] reads, \
         got 5",
    );
}

#[test]
fn shared_modules_must_keep_their_channels() {
    check(
        |table| {
            let row = ResidualRow::new(&[728, 512], 1);
            table.middle_flow = MiddleFlow { row, repeats: 2, weights: MiddleWeights::Shared };
        },
        "the last of middle_flow.row.widths must be the 728 channels that it reads, as repeats share their weights, got \
         512",
    );
}

#[test]
fn sums_must_have_one_size() {
    check(
        |table| table.separable.padding = Padding::Explicit(0),
        "separable.padding must be Half of an odd kernel, or Same, so that the sum of entry_flow[0] has one size, got \
         Explicit(0)",
    );
    check(
        |table| table.pool_padding = Padding::VALID,
        "pool_padding must be Half or Same, so that the sum of entry_flow[0] has one size, got Explicit([0, 0])",
    );
}

#[test]
fn without_shortcuts_sizes_may_change() {
    let mut table = Architecture::published();
    table.rows_mut().for_each(|row| row.shortcut = Shortcut::None);
    table.separable.padding = Padding::Explicit(0);
    table.middle_flow.repeats = 1;
    assert_eq!(table.validate(), Ok(()));
    assert!(Summary::new(&table, 10, 399).is_ok());
}

#[test]
fn a_table_may_be_as_short_as_a_stem() {
    let table = stem_alone();
    let store = VarStore::new(Device::Cpu);
    let model = Xception::new(store.root(), &table, 3).unwrap();
    let xs = images(2, 9);
    let logits = model.logits(&xs);
    assert_eq!(logits.size(), [2, 3]);
    let packed = crate::Inference::new(&model, Kind::Float).unwrap();
    assert!(packed.logits(&xs).allclose(&logits, 1e-4, 1e-5, false));
}

#[test]
fn an_output_stride_names_what_is_accepted() {
    let refusal = |table: Architecture, stride| table.with_output_stride(stride).unwrap_err();
    let expected =
        |accepted: &str, value: &str| format!("output_stride must be {accepted}, got {value}");
    let aligned = ModelSpec::new(Preset::Xception41).architecture().unwrap();
    assert_eq!(refusal(aligned, 4).to_string(), expected("8, 16 or 32", "4"));
    assert_eq!(
        refusal(Architecture::published(), 16).to_string(),
        expected("32 for a network that downsamples by max-pools", "16")
    );
}

#[test]
fn a_path_holds_one_network() {
    let store = VarStore::new(Device::Cpu);
    let _first = tiny().build(store.root()).unwrap();
    let error = tiny().build(store.root()).unwrap_err();
    assert!(matches!(&error, BuildError::PathTaken { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the path has a variable block1.rep.0.conv1.weight already; build each network under a path of its own"
    );
    let second = tiny().build(store.root() / "second").unwrap();
    let xs = images(1, 32);
    assert_eq!(second.logits(&xs).size(), [1, 10]);
}

#[test]
fn values_out_of_range_keep_their_parts() {
    let error = Architecture { c_in: -1, ..Architecture::published() }.validate().unwrap_err();
    let OutOfRange { name, accepted, value, .. } = error;
    assert_eq!(
        (name.as_str(), accepted.as_str(), value.as_str()),
        ("c_in", "between 1 and 65536", "-1")
    );
}
