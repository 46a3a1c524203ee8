//! The form of a log line as qpsmtpd has it: who, `(hook)`, plugin, text.

/// A line of the log without its line end. `first` is what it begins with: a session's number, or a
/// process id.
pub(crate) fn line<'a>(
    first: u32,
    hook: Option<&[u8]>,
    plugin: Option<&[u8]>,
    texts: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut line = first.to_string().into_bytes();
    if let Some(hook) = hook {
        line.extend_from_slice(&[b" (", hook, b")"].concat());
    }
    match (plugin, hook) {
        (Some(plugin), _) => line.extend_from_slice(&[b" ", plugin, b":"].concat()),
        (None, Some(_)) => line.extend_from_slice(b" running plugin:"),
        (None, None) => {}
    }
    for text in texts {
        line.push(b' ');
        line.extend_from_slice(text);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn hook_and_plugin_stand_before_the_texts_where_there_are_any() {
        let shown = |hook, plugin| {
            let texts = [&b"one"[..], b"two"];
            String::from_utf8(line(7, hook, plugin, texts)).unwrap()
        };
        assert_eq!(shown(None, None), "7 one two");
        assert_eq!(shown(None, Some(&b"tls"[..])), "7 tls: one two");
        assert_eq!(
            shown(Some(&b"rcpt"[..]), None),
            "7 (rcpt) running plugin: one two"
        );
        assert_eq!(
            shown(Some(&b"rcpt"[..]), Some(&b"tls"[..])),
            "7 (rcpt) tls: one two"
        );
    }
}
