//! Networks that random ones were shrunk to, each of which something was wrong with.

use resnet::runtime::{Isa, Precision};

use super::{How, check};

/// A name, and the spec without its first lines.
const FOUND: &[(&str, &str)] = &[
    ("a flat image with a halo", "head: [flatten, {conv: {filters: 1, kernel: 3, padding: same}}]"),
    ("a flat image, padded", "head: [flatten, {zero_pad: 1}, {max_pool: {window: 2}}]"),
    ("a flat image of padded channels", "head: [flatten]"),
    ("the same, read by two", "stem: [flatten]\nblock: basic\nstages: [{filters: 18, blocks: 1}]"),
    ("a padded image, flat", "head: [{zero_pad: {right: 1}}, flatten]"),
    (
        "an image flat twice",
        "head: [{zero_pad: 1}, {conv: {filters: 2, kernel: 1}}, flatten, {flatten: {name: again}}, {dense: {units: 3}}]",
    ),
    (
        "a sum in place of a padded image",
        "stem: [{zero_pad: 1}]\nblock: basic\nstages: [{filters: [1, 3], blocks: 2}]",
    ),
    (
        "a flat image behind a pool of one pixel",
        "head: [{conv: {filters: 2, kernel: 1}}, flatten, {average_pool: global}, {dense: {units: 1}}]",
    ),
    (
        "an output that is read in f32, too",
        "head: [{conv: {filters: 1, kernel: 1}}, softmax]\noutputs: [relu1, softmax]",
    ),
    ("probabilities with a halo", "head: [softmax, {conv: {filters: 1, kernel: 2, padding: same}}]"),
    ("probabilities, padded", "head: [softmax, {zero_pad: {right: 1}}]"),
    (
        "probabilities in between",
        "stem: [softmax, {average_pool: {window: 1x2}}, {conv: {filters: 3, kernel: 1}}]\n\
         head: [{softmax: {name: second}}, flatten, {softmax: {name: third}}, {dense: {units: 3}}]",
    ),
];

#[test]
fn networks_that_once_failed() {
    for (name, layers) in FOUND {
        for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
            let text = format!("name: found\ninput: 2x3x3\nbatch: 2\n{layers}\n");
            let how = How { precision, isa: Isa::best(), threads: 2 };
            check(&text, how).unwrap_or_else(|failure| panic!("{name}, {how:?}: {failure}"));
        }
    }
}
