//! Camelpost: an SMTP server that runs qpsmtpd plugins unchanged.
