//! One binary for every integration test, so that libtorch is linked once.
