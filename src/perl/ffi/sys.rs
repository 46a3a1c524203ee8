//! The bindings to glue.c, made by bindgen from glue.h alone.

#![allow(non_camel_case_types, non_upper_case_globals, dead_code, missing_docs, unreachable_pub)]
#![allow(clippy::all)]

include!(concat!(env!("OUT_DIR"), "/glue.rs"));
