//! What the line of `tls` and its config files say, and an openssl context made of it. Reads the files
//! each time that it is asked, and keeps nothing of them. The defaults are those of IO::Socket::SSL, by which the Perl
//! plugin has its TLS.

use std::path::{Path, PathBuf};

use openssl::bn::BigNum;
use openssl::dh::Dh;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    SslContext, SslContextBuilder, SslFiletype, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVerifyMode,
};

use super::protocols::Protocols;
use crate::config::reason;

/// Where everything is, and what is allowed.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) ca: PathBuf,
    /// Parameters for DHE.
    pub(super) dh: Option<PathBuf>,
    pub(super) ciphers: String,
    pub(super) protocols: Protocols,
    /// Whose certificates clients may show; none where none is asked for.
    pub(super) client_ca: Option<PathBuf>,
    /// A directory with `NAME.crt` and `NAME.key` for other names of this server.
    pub(super) names: Option<PathBuf>,
}

impl Settings {
    /// The files whose change counts.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let always = [&self.certificate, &self.key, &self.ca];
        let some = [&self.dh, &self.client_ca];
        let all = always.into_iter().chain(some.into_iter().flatten());
        all.map(PathBuf::as_path)
    }

    /// A context with the certificate as it is now. An error names the file and what is wrong with it.
    pub(super) fn context(&self) -> Result<SslContextBuilder, String> {
        self.context_with(&self.certificate, &self.key)
    }

    /// The same for one of the other names.
    pub(super) fn context_of(&self, dir: &Path, name: &str) -> Result<SslContext, String> {
        let certificate = dir.join(format!("{name}.crt"));
        let key = dir.join(format!("{name}.key"));
        Ok(self.context_with(&certificate, &key)?.build())
    }

    fn context_with(&self, certificate: &Path, key: &Path) -> Result<SslContextBuilder, String> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |error: openssl::error::ErrorStack| format!("{what}: {}", first(&error))
        };
        let mut context =
            SslContextBuilder::new(SslMethod::tls_server()).map_err(failed("openssl"))?;
        context.set_options(
            SslOptions::ALL
                | SslOptions::SINGLE_DH_USE
                | SslOptions::SINGLE_ECDH_USE
                | SslOptions::CIPHER_SERVER_PREFERENCE
                | self.protocols.without,
        );
        if let Some(only) = self.protocols.only {
            context
                .set_min_proto_version(Some(only))
                .and_then(|()| context.set_max_proto_version(Some(only)))
                .map_err(failed("tls_protocols"))?;
        }
        // What is written may stand elsewhere the next time; a client that is waited for has no buffers.
        context.set_mode(
            SslMode::ENABLE_PARTIAL_WRITE
                | SslMode::ACCEPT_MOVING_WRITE_BUFFER
                | SslMode::AUTO_RETRY
                | SslMode::RELEASE_BUFFERS,
        );
        // Who resumes a session brings a ticket along; what a worker kept would be found in that worker only.
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        // As the Perl plugin: a file that is no such list does not matter where no certificate is asked for.
        let _ = context.set_ca_file(&self.ca);
        take_certificate(&mut context, certificate, key)?;
        let dh = match &self.dh {
            Some(path) => {
                let pem = read(path)?;
                let told = format!("Failed to read PEM for DH from {}", path.display());
                Dh::params_from_pem(&pem).map_err(failed(&told))?
            }
            None => usual_dh().map_err(failed("openssl"))?,
        };
        context
            .set_tmp_dh(&dh)
            .map_err(failed("the parameters for DHE"))?;
        if let Some(ca) = &self.client_ca {
            ask_for_certificate(&mut context, ca)?;
        }
        context.set_cipher_list(&self.ciphers).map_err(|error| {
            let why = first(&error);
            format!(
                "Failed to set SSL cipher list '{}' (tls_ciphers): {why}",
                self.ciphers
            )
        })?;
        // What resumes a session has to come from this service.
        let id = openssl::sha::sha256(certificate.as_os_str().as_encoded_bytes());
        context
            .set_session_id_context(&id)
            .map_err(failed("openssl"))?;
        Ok(context)
    }
}

/// The certificate may be a chain in PEM, one in DER, or come with its key in PKCS #12.
fn take_certificate(
    context: &mut SslContextBuilder,
    certificate: &Path,
    key: &Path,
) -> Result<(), String> {
    let contents = read(certificate)?;
    let bad = |why: String| {
        let file = certificate.display();
        format!("Failed to load certificate from file {file}: {why}")
    };
    if let Err(error) = context.set_certificate_chain_file(certificate)
        && context
            .set_certificate_file(certificate, SslFiletype::ASN1)
            .is_err()
    {
        let bag = Pkcs12::from_der(&contents).and_then(|bag| bag.parse2(""));
        let Ok(bag) = bag else {
            return Err(bad(first(&error)));
        };
        let Some((found, own)) = bag.cert.zip(bag.pkey) else {
            return Err(bad(first(&error)));
        };
        let chain = bag.ca.into_iter().flatten();
        context
            .set_certificate(&found)
            .and_then(|()| context.set_private_key(&own))
            .map_err(|error| bad(first(&error)))?;
        for authority in chain {
            context
                .add_extra_chain_cert(authority)
                .map_err(|error| bad(first(&error)))?;
        }
        return Ok(());
    }
    let own = private_key(key)?;
    context.set_private_key(&own).map_err(|error| {
        let (key, certificate) = (key.display(), certificate.display());
        let why = first(&error);
        format!("Failed to load key from file {key}: it is not the key of {certificate} ({why})")
    })
}

/// A key in PEM or DER. Nobody is asked for a passphrase: there may be nobody.
fn private_key(path: &Path) -> Result<PKey<Private>, String> {
    let contents = read(path)?;
    let mut asked = false;
    let pem = PKey::private_key_from_pem_callback(&contents, |_| {
        asked = true;
        Ok(0)
    });
    let key = pem.or_else(|error| PKey::private_key_from_der(&contents).map_err(|_| error));
    key.map_err(|error| {
        let file = path.display();
        match asked {
            true => format!(
                "Failed to load key from file {file}: it is protected by a passphrase; write it without (openssl pkey)"
            ),
            false => format!("Failed to load key from file {file}: {}", first(&error)),
        }
    })
}

/// Clients are asked for a certificate. One that shows none is welcome, one that shows a wrong one is not.
fn ask_for_certificate(context: &mut SslContextBuilder, ca: &Path) -> Result<(), String> {
    read(ca)?;
    let failed = |error| {
        let file = ca.display();
        format!(
            "Failed to load certificates from file {file}: {}",
            first(&error)
        )
    };
    context.set_ca_file(ca).map_err(failed)?;
    let list = openssl::x509::X509Name::load_client_ca_file(ca).map_err(failed)?;
    context.set_client_ca_list(list);
    context.set_verify(SslVerifyMode::PEER);
    Ok(())
}

/// A group of 2048 bits (RFC 3526).
fn usual_dh() -> Result<Dh<openssl::pkey::Params>, openssl::error::ErrorStack> {
    let prime = BigNum::get_rfc3526_prime_2048()?;
    Dh::from_pqg(prime, None, BigNum::from_u32(2)?)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {}", path.display(), reason(&error)))
}

/// Openssl's words for the first thing that went wrong.
fn first(stack: &openssl::error::ErrorStack) -> String {
    let error = stack.errors().first();
    let words = error.and_then(|error| error.reason());
    words
        .unwrap_or("for a reason that openssl does not name")
        .to_owned()
}
