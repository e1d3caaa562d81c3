//! Filter operations: load, replace, unload, list, schema and params.

use oko_filter::{Carried, Lost, ParamError, ParamInfo};
use oko_openflow::oko::{Abi, Fate, OkoError, OkoErrorCode, Operation, ParamValue, Replaced, Reply, Request};
use tokio::task::{JoinError, spawn_blocking};

use super::control::{Answer, Control, Wait};
use super::peers::PeerId;
use super::reply::Replies;
use crate::filters::{LoadedFilter, Prepared, Replacement, prepare, prepare_replacement};

impl Control {
    /// Serves an operation.
    pub(super) fn oko(&mut self, peer: PeerId, request: Request) -> Answer {
        if changes(request.operation()) && !self.peers.may_write(peer) {
            return Answer::Error(oko_openflow::ErrorCode::RequestIsSlave);
        }
        match request {
            Request::Load { name, abi, artifact } => self.load(name, abi, artifact),
            Request::Replace { name, abi, artifact } => self.replace(&name, abi, artifact),
            Request::Unload { name } => self.unload(&name),
            Request::List => {
                let filters = self.filters.iter().map(|filter| self.describe_filter(filter)).collect();
                Ok(Answer::oko(&Reply::Filters { operation: Operation::FilterList, filters }))
            }
            Request::Schema { name } => self.schema(&name),
            Request::ParamGet { filter } => {
                self.filters.named(&filter).map(|filter| Answer::oko(&params(filter, Operation::ParamGet)))
            }
            Request::ParamSet { filter, values } => self.set_params(&filter, &values),
            Request::EventSubscribe { filter } => self.subscribe(peer, filter),
            Request::EventUnsubscribe { filter } => self.unsubscribe(peer, &filter),
            Request::PortAdd { number, up, name, device } => self.add_port(number, up, name, device),
            Request::PortRemove { number } => self.remove_port(oko_openflow::PortNo(number)),
            about => self.about_entries(about),
        }
        .into()
    }

    /// Checks what is quickly checked; verification and compilation go to another thread.
    fn load(&mut self, name: String, abi: Abi, artifact: Vec<u8>) -> Result<Answer, OkoError> {
        if !name.is_empty() {
            self.filters.check_free([name.as_str()])?;
        }
        Ok(Answer::Wait(Wait::Load(spawn_blocking(move || prepare(&name, abi, &artifact)))))
    }

    /// Takes up what the other thread made.
    pub(super) fn finish_load(&mut self, prepared: Result<Result<Prepared, OkoError>, JoinError>) -> Replies {
        let loaded = of_task(prepared, "load");
        match loaded.and_then(|prepared| self.filters.insert(prepared, self.now())) {
            Ok(ids) => {
                self.mark_changed();
                self.publish();
                let filters = ids
                    .into_iter()
                    .filter_map(|id| self.filters.get(id))
                    .inspect(|filter| tracing::info!(filter = filter.name, id = %filter.id, "filter loaded"))
                    .map(|filter| self.describe_filter(filter))
                    .collect();
                Replies::oko(&Reply::Filters { operation: Operation::FilterLoad, filters })
            }
            Err(error) => Replies::oko_error(&error),
        }
    }

    /// Verification and compilation go to another thread, as for loading.
    fn replace(&mut self, name: &str, abi: Abi, artifact: Vec<u8>) -> Result<Answer, OkoError> {
        let old = std::sync::Arc::clone(&self.filters.named(name)?.instance);
        Ok(Answer::Wait(Wait::Replace(spawn_blocking(move || prepare_replacement(old, abi, &artifact)))))
    }

    /// Lets what the other thread made take over: the worker goes over to it between two bursts.
    pub(super) fn finish_replace(
        &mut self,
        prepared: Result<Result<Replacement, OkoError>, JoinError>,
    ) -> Replies {
        let replaced = of_task(prepared, "replace").and_then(|replacement| {
            let users = |id| self.tables.users_of_filter(id);
            let now = self.now();
            self.filters.replace(replacement, users, now)
        });
        match replaced {
            Ok(carried) => {
                self.forget_gone();
                self.mark_changed();
                self.publish();
                let all = fates(carried);
                tracing::info!(?all, "filter replaced");
                Replies::oko(&Reply::Replaced(all))
            }
            Err(error) => Replies::oko_error(&error),
        }
    }

    fn unload(&mut self, name: &str) -> Result<Answer, OkoError> {
        let filter = self.filters.named(name)?;
        let users = self.tables.users_of_filter(filter.id);
        if users > 0 {
            let entries = if users == 1 { "entry names" } else { "entries name" };
            let text = format!("{users} flow {entries} the filter `{name}`; delete them first");
            return Err(OkoError::new(OkoErrorCode::FilterInUse, text));
        }
        self.filters.remove(name);
        self.forget_gone();
        self.mark_changed();
        self.publish();
        tracing::info!(filter = name, "filter unloaded");
        Ok(Answer::oko(&Reply::Done { operation: Operation::FilterUnload }))
    }

    fn schema(&self, name: &str) -> Result<Answer, OkoError> {
        let filter = self.filters.named(name)?;
        let Some(schema) = filter.instance.schema() else {
            let text = format!("the artifact of `{name}` has no schema: okoc did not make it");
            return Err(OkoError::new(OkoErrorCode::Unsupported, text));
        };
        let json = serde_json::to_vec(schema)
            .map_err(|error| OkoError::new(OkoErrorCode::Internal, error.to_string()))?;
        Ok(Answer::oko(&Reply::Schema(json)))
    }

    /// Sets all or none.
    fn set_params(&mut self, filter: &str, values: &[(String, u64)]) -> Result<Answer, OkoError> {
        let filter = self.filters.named(filter)?;
        let known = filter.instance.params();
        for (name, value) in values {
            check_param(&known, name, *value).map_err(|error| param_error(&error))?;
        }
        for (name, value) in values {
            filter.instance.set_param(name, *value).map_err(|error| param_error(&error))?;
        }
        Ok(Answer::oko(&params(filter, Operation::ParamSet)))
    }

    fn describe_filter(&self, filter: &LoadedFilter) -> oko_openflow::oko::FilterInfo {
        filter.describe(self.tables.users_of_filter(filter.id), self.now())
    }
}

/// Whether an operation changes something, so that a slave may not ask for it.
fn changes(operation: Operation) -> bool {
    match operation {
        Operation::FilterLoad
        | Operation::FilterReplace
        | Operation::FilterUnload
        | Operation::ParamSet
        | Operation::StateWrite
        | Operation::StateDelete
        | Operation::StateClear
        | Operation::TableWrite
        | Operation::TableDelete
        | Operation::TableClear
        | Operation::PortAdd
        | Operation::PortRemove => true,
        Operation::FilterList
        | Operation::FilterSchema
        | Operation::ParamGet
        | Operation::StateRead
        | Operation::StateGet
        | Operation::StateList
        | Operation::TableRead
        | Operation::TableGet
        | Operation::EventSubscribe
        | Operation::EventUnsubscribe
        | Operation::Event => false,
    }
}

/// What another thread has made of an artifact that was to be loaded, or what was to be done else. That it panics is a fault of the switch.
fn of_task<T>(made: Result<Result<T, OkoError>, JoinError>, verb: &str) -> Result<T, OkoError> {
    made.unwrap_or_else(|error| {
        tracing::error!(%error, "failed to {verb} a filter");
        let text = format!("the switch failed to {verb} the filter; see its log");
        Err(OkoError::new(OkoErrorCode::Internal, text))
    })
}

/// What became of states and params, for the reply.
fn fates(carried: Carried) -> Vec<Replaced> {
    let plain = |fate| move |name| Replaced { fate, name, why: String::new() };
    let lost = |fate| move |lost: Lost| Replaced { fate, name: lost.name, why: lost.why };
    let Carried { states, copied_states, new_states, reset_states, gone_states, params, reset_params } =
        carried;
    (states.into_iter().map(plain(Fate::StateKept)))
        .chain(copied_states.into_iter().map(lost(Fate::StateKept)))
        .chain(new_states.into_iter().map(plain(Fate::StateNew)))
        .chain(reset_states.into_iter().map(lost(Fate::StateReset)))
        .chain(gone_states.into_iter().map(plain(Fate::StateGone)))
        .chain(params.into_iter().map(plain(Fate::ParamKept)))
        .chain(reset_params.into_iter().map(lost(Fate::ParamReset)))
        .collect()
}

fn params(filter: &LoadedFilter, operation: Operation) -> Reply {
    let params = filter
        .instance
        .params()
        .into_iter()
        .map(|param| ParamValue { name: param.name, value: param.value })
        .collect();
    Reply::Params { operation, params }
}

/// Whether a param can be set to a value.
fn check_param(known: &[ParamInfo], name: &str, value: u64) -> Result<(), ParamError> {
    let Some(param) = known.iter().find(|param| param.name == name) else {
        let names: Vec<&str> = known.iter().map(|param| param.name.as_str()).collect();
        let known = if names.is_empty() { String::from("none") } else { names.join(", ") };
        return Err(ParamError::Unknown { name: name.to_owned(), known });
    };
    let (min, max) = (param.min, param.max);
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ParamError::OutOfRange { name: name.to_owned(), found: value, min, max })
    }
}

fn param_error(error: &ParamError) -> OkoError {
    let code = match error {
        ParamError::Unknown { .. } => OkoErrorCode::NoSuchParam,
        ParamError::OutOfRange { .. } => OkoErrorCode::BadValue,
    };
    OkoError::new(code, error.to_string())
}
