//! The program `camelpost` with two more native plugins. It does all that `camelpost` does: `native-plugin
//! serve --config config --user NAME`.

mod count_words;
mod known_user;

use std::process::ExitCode;

/// The one that `camelpost` itself has, for perl's small values, too. Any other will do, or none.
#[global_allocator]
static ALLOCATOR: camelpost::Allocator = camelpost::Allocator;

fn main() -> ExitCode {
    camelpost::builder()
        .plugin::<known_user::KnownUser>()
        .plugin::<count_words::CountWords>()
        .run()
}
