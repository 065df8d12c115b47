//! A build script that looks whether libtorch is where the environment says. Without it the compiler is the first to miss a
//! header, after a minute, in a page of C++.
