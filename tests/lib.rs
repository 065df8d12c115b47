//! An integration-test package needs a library target to be a package; the tests are in `main.rs`.
