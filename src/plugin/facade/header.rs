//! The message's header in a native plugin's hands: the same whether it is in native form or a Perl
//! plugin has made a Mail::Header of it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::mail::{Field, Header, check_field};
use crate::plugin::access::SessionAccess;
use crate::plugin::failure::Failure;

/// The header as it will be queued. A name counts in any case; values are without the white space
/// around them.
pub struct HeaderHandle<'a>(pub(in crate::plugin) &'a dyn SessionAccess);

impl HeaderHandle<'_> {
    /// All of it, in lines ending in LF. Empty before DATA.
    pub async fn text(&self) -> Result<Vec<u8>, Failure> {
        self.look(|header| header.bytes.clone()).await
    }

    /// All fields, in order.
    pub async fn fields(&self) -> Result<Vec<Field>, Failure> {
        self.look(|header| header.fields().collect()).await
    }

    /// The values of a field, unfolded, in order.
    pub async fn all(&self, name: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let name = name.to_owned();
        let values = move |header: &Header| {
            let fields = header.named(&name);
            fields.map(|field| field.unfolded()).collect()
        };
        self.look(values).await
    }

    /// The value of the first field of this name, unfolded.
    pub async fn first(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.get(name, 0).await
    }

    /// The value of one of several fields of this name, the first is 0.
    pub async fn get(&self, name: &str, index: usize) -> Result<Option<Vec<u8>>, Failure> {
        let name = name.to_owned();
        let value = move |header: &Header| {
            let mut fields = header.named(&name);
            fields.nth(index).map(|field| field.unfolded())
        };
        self.look(value).await
    }

    /// Puts a field on top, where trace fields belong.
    pub async fn add_on_top(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Failure> {
        let value = checked(name, value)?;
        let name = name.to_owned();
        self.edit(move |header| header.add_on_top(name.as_bytes(), &value))
            .await
    }

    /// Puts a field at the end.
    pub async fn add(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Failure> {
        let value = checked(name, value)?;
        let name = name.to_owned();
        self.edit(move |header| header.add(&name, &value)).await
    }

    /// The field has this value, once: in the place of the first of this name, or at the end.
    pub async fn replace(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Failure> {
        let value = checked(name, value)?;
        let name = name.to_owned();
        self.edit(move |header| header.replace(&name, &value)).await
    }

    /// Gives the fields of a name another one, in their places. Says how many there are.
    pub async fn rename(&self, old: &str, new: &str) -> Result<usize, Failure> {
        check_field(new, b"")?;
        let (old, new) = (old.to_owned(), new.to_owned());
        self.edit(move |header| header.rename(&old, &new)).await
    }

    /// Takes the fields of a name away. Says how many there were.
    pub async fn remove(&self, name: &str) -> Result<usize, Failure> {
        let name = name.to_owned();
        self.edit(move |header| header.remove(&name)).await
    }

    async fn look<T: 'static>(&self, at: impl FnOnce(&Header) -> T) -> Result<T, Failure> {
        let text = self.0.header().await?;
        Ok(at(&Header::new(text)))
    }

    async fn edit<T: 'static>(
        &self,
        edit: impl FnOnce(&mut Header) -> T + 'static,
    ) -> Result<T, Failure> {
        let result = Rc::new(RefCell::new(None));
        let slot = result.clone();
        let edit = move |header: &mut Header| {
            let done = edit(header);
            slot.replace(Some(done));
        };
        self.0.edit_header(Box::new(edit)).await?;
        let done = result.take();
        done.ok_or_else(|| Failure::new("there is no header before DATA"))
    }
}

fn checked(name: &str, value: impl AsRef<[u8]>) -> Result<Vec<u8>, Failure> {
    check_field(name, value.as_ref())?;
    Ok(value.as_ref().to_vec())
}
