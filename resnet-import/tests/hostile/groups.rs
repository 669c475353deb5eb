//! HDF5 files whose tensors lie in other files, or in a circle.

use crate::{rejected, survived};

#[test]
fn other_files_are_not_opened() {
    let external: &[u8] = include_bytes!("../seeds/hostile-external-link.h5");
    rejected("external-link.h5", external, "");
    rejected("external-link.weights.h5", external, "");
    rejected("external-data.h5", include_bytes!("../seeds/hostile-external-data.h5"), "");
    rejected("virtual.h5", include_bytes!("../seeds/hostile-virtual.h5"), "");
}

#[test]
fn circles_end() {
    drop(survived("circle.h5", include_bytes!("../seeds/hostile-circle.h5")));
    drop(survived("circle.weights.h5", include_bytes!("../seeds/hostile-circle.h5")));
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
