//! Perl modules with a part in C look for perl's own functions in the program that loads them. Camelpost says
//! how they stay visible there.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Ok(arg) = std::env::var("DEP_CAMELPOST_PERL_LINK_ARG") {
        println!("cargo::rustc-link-arg={arg}");
    }
}
