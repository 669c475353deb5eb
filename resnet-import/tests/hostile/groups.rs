//! HDF5 files whose tensors lie in other files, in a circle, or on very many paths.

use crate::{imported, rejected, survived};

#[test]
fn other_files_are_not_opened() {
    rejected("external-link.h5", include_bytes!("../seeds/hostile-external-link.h5"), "link");
    rejected("external-data.h5", include_bytes!("../seeds/hostile-external-data.h5"), "another file");
    rejected("virtual.h5", include_bytes!("../seeds/hostile-virtual.h5"), "kernel");
}

#[test]
fn circles_end() {
    rejected("circle.h5", include_bytes!("../seeds/hostile-circle.h5"), "kernel");
    rejected("soft-circle.h5", include_bytes!("../seeds/hostile-soft-circle.h5"), "kernel");
}

/// Twenty-four groups, each of which has the one before twice: 2^24 paths.
#[test]
fn groups_that_links_repeat_are_bounded() {
    rejected("shared.h5", include_bytes!("../seeds/hostile-shared-groups.h5"), "links may repeat");
}

#[test]
fn what_is_not_in_the_file_takes_no_memory() {
    rejected("unwritten.h5", include_bytes!("../seeds/hostile-unwritten.h5"), "kernel");
    rejected("unwritten-chunks.h5", include_bytes!("../seeds/hostile-unwritten-chunks.h5"), "kernel");
    // Twenty names of one tensor, 8 MB large.
    rejected("compressed.h5", include_bytes!("../seeds/hostile-compressed.h5"), "kernel");
    // Five, which are in memory once each.
    imported("apart.h5", include_bytes!("../seeds/hostile-compressed-apart.h5"));
}

/// Numbers of 32 and 64 bits, anywhere in a file, are as large as can be.
#[test]
fn sizes_are_checked() {
    for (name, file) in [
        ("small.h5", &include_bytes!("../seeds/small.h5")[..]),
        ("small.weights.h5", include_bytes!("../seeds/small.weights.h5")),
        ("circle.h5", include_bytes!("../seeds/hostile-circle.h5")),
        ("virtual.h5", include_bytes!("../seeds/hostile-virtual.h5")),
    ] {
        for at in (0..file.len() - 8).step_by(8 * (1 + file.len() / 400)) {
            for large in [1 << 60, u64::MAX, at as u64] {
                let mut file = file.to_vec();
                file[at..at + 8].copy_from_slice(&large.to_le_bytes());
                drop(survived(name, &file));
            }
        }
    }
}
