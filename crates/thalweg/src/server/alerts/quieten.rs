//! SILENCE, UNSILENCE and ACKNOWLEDGE ALERT. They are in the catalog's log with their times and who said so. It must not
//! know who is told.

use std::sync::Arc;

use thalweg_core::{SqlError, SqlState};
use thalweg_sql::server::{Acknowledged, AlertObject, Kind, Lasting, Object, Objects, Quieted, Silence, quoted};

use crate::server::ddl::Made;
use crate::server::drops::owned;
use crate::server::session::Session;

/// Silences of one alert, and notes that were taken of it, at most.
const MAX_KEPT: usize = 1_000;
/// For so long after its end a silence tells why nobody was told (microseconds): a week.
const REMEMBERED: i64 = 7 * 86_400 * 1_000_000;

pub(super) fn silence(
    session: &mut Session,
    objects: &mut Objects,
    of: &Quieted,
    lasting: Lasting,
) -> Result<Made, SqlError> {
    let (from, until) = match lasting {
        Lasting::Between(from, until) => (from, until),
        Lasting::For(time) => {
            let now = session.server.now();
            (now, now.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
        }
    };
    let by = by(session, of);
    let logged = format!("SILENCE {} FROM {from} UNTIL {until}{}", named(of), said(&by, of));
    change(session, objects, of, "SILENCE", logged, |alert| {
        alert.silences.retain(|s| s.until > from.saturating_sub(REMEMBERED));
        let silence = Silence { instance: of.instance.clone(), from, until, by, reason: of.reason.clone() };
        alert.silences.push(silence);
        room(alert.silences.len(), "silences")
    })
}

pub(super) fn unsilence(
    session: &mut Session,
    objects: &mut Objects,
    of: &Quieted,
    at: Option<i64>,
) -> Result<Made, SqlError> {
    let at = at.unwrap_or_else(|| session.server.now());
    let logged = format!("UNSILENCE {} AT {at}", named(of));
    let mut ended = 0;
    let made = change(session, objects, of, "UNSILENCE", logged, |alert| {
        // Without an instance all of it is heard again.
        let meant = |s: &&mut Silence| s.until > at && (of.instance.is_none() || s.instance == of.instance);
        for silence in alert.silences.iter_mut().filter(meant) {
            silence.until = at;
            ended += 1;
        }
        Ok(())
    })?;
    if ended == 0 {
        session.notice("nothing of it was silenced".to_owned());
    }
    Ok(made)
}

pub(super) fn acknowledge(
    session: &mut Session,
    objects: &mut Objects,
    of: &Quieted,
    at: Option<i64>,
) -> Result<Made, SqlError> {
    let at = at.unwrap_or_else(|| session.server.now());
    let by = by(session, of);
    let logged = format!("ACKNOWLEDGE {} AT {at}{}", named(of), said(&by, of));
    change(session, objects, of, "ACKNOWLEDGE", logged, |alert| {
        if alert.acknowledged.len() == MAX_KEPT {
            alert.acknowledged.remove(0);
        }
        alert.acknowledged.push(Acknowledged { instance: of.instance.clone(), at, by, reason: of.reason.clone() });
        Ok(())
    })
}

fn change(
    session: &mut Session,
    objects: &mut Objects,
    of: &Quieted,
    word: &str,
    logged: String,
    how: impl FnOnce(&mut AlertObject) -> Result<(), SqlError>,
) -> Result<Made, SqlError> {
    let object = Arc::clone(objects.expect(&of.name, &session.path())?);
    let Kind::Alert(alert) = &object.kind else {
        let message = format!("{} is a {}, not an alert", quoted(&object.name), object.class());
        return Err(SqlError::new(SqlState::WRONG_OBJECT_TYPE, message));
    };
    owned(session, objects, &object)?;
    let mut alert = alert.as_ref().clone();
    how(&mut alert)?;
    objects.put(Object { kind: Kind::Alert(Arc::new(alert)), ..object.as_ref().clone() })?;
    Ok(Made { logged: Some(logged), ..Made::new(format!("{word} ALERT")) })
}

fn room(count: usize, what: &str) -> Result<(), SqlError> {
    if count <= MAX_KEPT {
        return Ok(());
    }
    let message = format!("more than {MAX_KEPT} {what} of one alert");
    Err(SqlError::new(SqlState::PROGRAM_LIMIT, message).hint("Silence all of it: leave INSTANCE out."))
}

fn by(session: &Session, of: &Quieted) -> String {
    of.by.clone().unwrap_or_else(|| session.login.user.clone())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn named(of: &Quieted) -> String {
    let instance = of.instance.as_ref().map_or_else(String::new, |i| format!(" INSTANCE {}", literal(i)));
    format!("ALERT {}{instance}", of.name)
}

fn said(by: &str, of: &Quieted) -> String {
    let reason = of.reason.as_ref().map_or_else(String::new, |r| format!(" REASON {}", literal(r)));
    format!(" BY {}{reason}", literal(by))
}
