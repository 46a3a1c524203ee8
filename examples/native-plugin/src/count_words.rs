//! `native/count_words [header NAME]`: counts the words of a message's body and says how many in a field on
//! top of its header, `X-Words` unless the line has another name. It refuses nothing.

use camelpost::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    #[serde(default = "x_words")]
    header: String,
}

fn x_words() -> String {
    "X-Words".to_owned()
}

pub struct CountWords {
    header: String,
}

impl Plugin for CountWords {
    const NAME: &'static str = "count_words";

    type Args = Args;

    fn load(args: Args, _: &LoadEnv<'_>) -> Result<CountWords, PluginError> {
        let header = args.header;
        // RFC 5322 section 2.2: printable, and no colon.
        if header.is_empty() || !header.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
            return Err(PluginError::argument(
                "header",
                "takes the name of a header field",
            ));
        }
        Ok(CountWords { header })
    }

    fn hooks(hooks: &mut Hooks<CountWords>) {
        hooks.data_post(CountWords::data_post);
    }
}

impl CountWords {
    async fn data_post(&self, cx: &mut Cx<'_>) -> HookResult {
        let message = cx.message();
        // Line by line: a large body lies in a file and is never in memory as a whole.
        let mut lines = message.lines();
        let mut words = 0;
        while let Some(line) = lines.next().await? {
            let parts = line.split(u8::is_ascii_whitespace);
            words += parts.filter(|word| !word.is_empty()).count();
        }
        let header = message.header();
        header.add_on_top(&self.header, words.to_string()).await?;
        declined()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camelpost::testing::Site;

    fn delivered(args: &str, message: &str) -> String {
        let site = Site::new().plugin::<CountWords>(args).taking_messages();
        let mut client = site.connect().unwrap();
        client.greet("client.example");
        client.say("MAIL FROM:<a@example.net>");
        client.say("RCPT TO:<b@example.org>");
        assert_eq!(client.send_message(message).code(), 250);
        let ended = client.quit();
        ended.messages[0].header.clone()
    }

    #[test]
    fn the_words_of_the_body_are_counted() {
        let text = delivered("", "Subject: not these two\n\none two\n  three\n");
        assert!(text.starts_with("X-Words: 3\n"), "{text}");
    }

    #[test]
    fn the_field_has_the_name_of_the_line() {
        let text = delivered("header X-Length", "Subject: none\n\n");
        assert!(text.starts_with("X-Length: 0\n"), "{text}");
    }

    #[test]
    fn a_name_that_is_none_ends_the_start() {
        let site = Site::new().plugin::<CountWords>("header a:b");
        let told = site.connect().err().unwrap().to_string();
        assert!(told.contains("header"), "{told}");
    }
}
