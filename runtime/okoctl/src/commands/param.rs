//! `okoctl param`.

use clap::Subcommand;
use oko_artifact::{ParamSchema, Schema};
use oko_openflow::oko::ParamValue;
use okoctl::{Address, Client};
use serde_json::{Value, json};

use super::schema;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::typed::{parse, show};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the params of a filter.
    Get {
        /// The filter.
        filter: String,
        /// The param; without it, all.
        param: Option<String>,
    },
    /// Set params of a filter while it runs: all or none.
    Set {
        /// The filter.
        filter: String,
        /// Each as NAME=VALUE, with units as in the language.
        #[arg(required = true, value_name = "NAME=VALUE")]
        values: Vec<String>,
    },
}

pub(crate) fn run(command: Command, address: &Address) -> Result<Output, Failure> {
    let mut client = Client::connect(address)?;
    match command {
        Command::Get { filter, param } => {
            let schema = schema(&mut client, &filter)?;
            if let Some(param) = &param {
                known(&schema, &filter, param)?;
            }
            let mut values = client.params(&filter)?;
            values.retain(|value| param.as_ref().is_none_or(|name| *name == value.name));
            Ok(output(&schema, &filter, &values))
        }
        Command::Set { filter, values } => {
            let schema = schema(&mut client, &filter)?;
            let values = values
                .iter()
                .map(|text| assignment(&schema, &filter, text))
                .collect::<Result<Vec<_>, _>>()?;
            let now = client.set_params(&filter, values)?;
            Ok(output(&schema, &filter, &now))
        }
    }
}

fn known<'a>(schema: &'a Schema, filter: &str, name: &str) -> Result<&'a ParamSchema, Failure> {
    schema.params.iter().find(|param| param.name == name).ok_or_else(|| Failure::NoParam {
        filter: filter.to_owned(),
        param: name.to_owned(),
        known: schema.params.iter().map(|param| param.name.clone()).collect(),
    })
}

fn assignment(schema: &Schema, filter: &str, text: &str) -> Result<(String, u64), Failure> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(Failure::NoAssignment { found: text.to_owned() });
    };
    let param = known(schema, filter, name)?;
    let bad = |expected| Failure::BadParam { param: name.to_owned(), found: value.to_owned(), expected };
    let number = parse(&param.ty, value).map_err(bad)?;
    if number < param.min || number > param.max {
        let show = |bound| show(&param.ty, &[bound], 0).text;
        return Err(bad(format!("{} to {}", show(param.min), show(param.max))));
    }
    Ok((name.to_owned(), number))
}

fn output(schema: &Schema, filter: &str, values: &[ParamValue]) -> Output {
    let of = |value: &ParamValue| schema.params.iter().find(|param| param.name == value.name);
    let rows: Vec<Vec<String>> = values
        .iter()
        .map(|value| match of(value) {
            Some(param) => {
                let show = |number| show(&param.ty, &[number], 0).text;
                let range = format!("{} to {}", show(param.min), show(param.max));
                vec![value.name.clone(), show(value.value), show(param.default), range, param.doc.clone()]
            }
            None => vec![value.name.clone(), value.value.to_string()],
        })
        .collect();
    let json = values
        .iter()
        .map(|value| match of(value) {
            Some(param) => json!({
                "name": value.name,
                "value": show(&param.ty, &[value.value], 0).json,
                "default": show(&param.ty, &[param.default], 0).json,
                "min": show(&param.ty, &[param.min], 0).json,
                "max": show(&param.ty, &[param.max], 0).json,
            }),
            None => json!({ "name": value.name, "value": value.value }),
        })
        .collect::<Value>();
    let text = if rows.is_empty() {
        format!("filter {filter} has no params")
    } else {
        table(&["param", "value", "default", "range", "meaning"], &[1, 2], &rows)
    };
    Output { text, json }
}
