// The last place where a compiler looks for libtorch's header (.cargo/config.toml): it is read where there is no libtorch.
#error "there is no libtorch: run `cargo xtask fetch libtorch`, or set LIBTORCH to the folder of libtorch 2.13"
