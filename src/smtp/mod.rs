//! The wire form of SMTP: addresses, command lines, replies, DATA. Bytes in, bytes out: knows
//! neither I/O nor sessions nor plugins.

#![forbid(unsafe_code)]

mod address;
mod command;
mod data;
mod input;
mod lines;
mod reply;

pub use address::Address;
pub use command::{
    Parameter, parameters, parse_mail_or_rcpt, split_arguments, split_command, split_path,
};
pub use data::{DataDecoder, DataEvent};
pub use input::InputBuffer;
pub use lines::{BareByte, CommandLines, LineEvent, MAX_COMMAND_LINE};
pub use reply::{Reply, ReplyForm};
