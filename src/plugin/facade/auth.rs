//! Who the client has shown to be.

/// What is known of the client's authentication (AUTH).
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// `auth_user`: the name that the client has given, also where it was not believed.
    pub user: Option<Vec<u8>>,
    /// `auth_mechanism`: `plain`, `login` or `cram-md5`.
    pub mechanism: Option<Vec<u8>>,
    /// A plugin has let the client in.
    pub is_authenticated: bool,
}

impl Auth {
    /// The name that a plugin has believed; none before.
    pub fn proved_user(&self) -> Option<&[u8]> {
        self.user.as_deref().filter(|_| self.is_authenticated)
    }
}
