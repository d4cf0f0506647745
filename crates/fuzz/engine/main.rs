//! libFuzzer around one of the targets: that which `CONVOKE_FUZZ_TARGET` names.

#![no_main]

use std::sync::LazyLock;

use convoke_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CONVOKE_FUZZ_TARGET").unwrap_or_default();
    convoke_fuzz::find(&name).unwrap_or_else(|| panic!("CONVOKE_FUZZ_TARGET names no target: '{name}'"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    (TARGET.run)(data);
});
