//! Where sessions that share a worker cannot be as if each had a process, and why. What stands here and
//! is no longer so fails, too.

/// A place that answers KEEP, and the reason.
pub const KNOWN: &[(&str, &str)] = &[
    (
        "magic.a_topic_of_its_own",
        "the original's loop over the client's lines leaves the last one in $_ for hooks",
    ),
    (
        "modules.loaded_modules",
        "a module that a session has loaded stays loaded in its worker, and %INC says so",
    ),
    (
        "extremes.object_of_library",
        "what a C library holds behind an object is the worker's",
    ),
    (
        "extremes.module_of_perl",
        "variables of modules from outside the site's directories are the worker's, as with prefork",
    ),
    (
        "extremes.given_up",
        "an object made at load is there for the next session, too: it is not destroyed when one gives it up",
    ),
    (
        "extremes.handle_read_in_memory",
        "a handle's position is the worker's",
    ),
    ("extremes.match_once", "perl keeps it in the compiled code"),
    (
        "extremes.regexp_compiled_once",
        "perl keeps it in the compiled code",
    ),
    (
        "extremes.glob_iterator",
        "File::Glob keeps it by the address of the compiled code",
    ),
];
