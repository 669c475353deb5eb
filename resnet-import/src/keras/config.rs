//! What a model's configuration says: layers and who calls whom, in the forms of all versions of Keras.

use serde_json::{Map, Value};

use crate::error::{Error, shown};

/// A model whose layers are all known: functional or sequential.
pub(super) struct Network<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its layers.
    pub(super) layers: Vec<Layer<'a>>,
    /// Its inputs; none if it is sequential.
    pub(super) inputs: Vec<Reference<'a>>,
    /// Its outputs.
    pub(super) outputs: Vec<Reference<'a>>,
}

/// A layer, or a model that is used as one.
pub(super) struct Layer<'a> {
    /// Its class.
    pub(super) class: &'a str,
    /// What it is called.
    pub(super) name: &'a str,
    /// Its settings, or the layers of a sequential model of Keras 1.
    pub(super) config: &'a Value,
    /// Whether it is an operation of `keras.ops`, not a layer.
    pub(super) is_operation: bool,
    /// What it is, if it is a model.
    pub(super) model: Option<Network<'a>>,
    /// What it is applied to, each time that it is.
    pub(super) calls: Vec<Vec<Reference<'a>>>,
}

/// A value of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    /// The layer.
    pub(super) layer: &'a str,
    /// Which of its calls.
    pub(super) call: usize,
    /// Which of the values that it gives.
    pub(super) tensor: usize,
}

/// The most levels of lists in which the arguments of a layer lie.
const DEPTH: usize = 8;

/// The most models within models, with the whole one.
const MODELS: usize = 16;

/// Bytes of a layer's name at most: those of nested models are joined.
const LONGEST: usize = 1 << 10;

impl<'a> Network<'a> {
    /// The model of this configuration, with the models within it: each is read once, however often it is called.
    ///
    /// # Errors
    /// If it is of another class, the configuration is not complete, or there are too many models within models.
    pub(super) fn read(model: &'a Value) -> Result<Self, Error> {
        let config = model.get("config").unwrap_or(&Value::Null);
        if let Some(class) = own_class(model) {
            return Err(in_python(config, class));
        }
        let class = model.get("class_name").and_then(Value::as_str).unwrap_or_default();
        Network::within(class, config, MODELS)
    }

    fn within(class: &str, config: &'a Value, depth: usize) -> Result<Self, Error> {
        let name = model_name(config);
        let sequential = match class {
            "Sequential" => true,
            "Functional" | "Model" => false,
            _ => return Err(in_python(config, class)),
        };
        let list = config.get("layers").unwrap_or(config).as_array();
        let list = list.ok_or_else(|| {
            Error::Malformed(format!("the configuration of the model `{name}` has no list `layers`"))
        })?;
        let deeper = depth.checked_sub(1).ok_or_else(|| {
            Error::Unsupported(format!("`{}`: more than {MODELS} models within models", shown(name)))
        })?;
        let mut layers =
            list.iter().map(|layer| Layer::read(layer, deeper)).collect::<Result<Vec<_>, _>>()?;
        if sequential {
            let names: Vec<&str> = layers.iter().map(|layer| layer.name).collect();
            for (layer, before) in layers.iter_mut().skip(1).zip(names) {
                layer.calls = vec![vec![Reference { layer: before, call: 0, tensor: 0 }]];
            }
            let outputs = layers.last().map(|layer| Reference { layer: layer.name, call: 0, tensor: 0 });
            return Ok(Network { name, layers, inputs: Vec::new(), outputs: outputs.into_iter().collect() });
        }
        let ends = |key: &str| {
            let mut found = Vec::new();
            references(config.get(key).unwrap_or(&Value::Null), DEPTH, &mut found)?;
            match found.is_empty() {
                true => {
                    Err(Error::Malformed(format!("the configuration of the model `{name}` has no `{key}`")))
                }
                false => Ok(found),
            }
        };
        Ok(Network { name, layers, inputs: ends("input_layers")?, outputs: ends("output_layers")? })
    }
}

impl<'a> Layer<'a> {
    /// A layer, in which there may be so many models within models.
    fn read(layer: &'a Value, depth: usize) -> Result<Self, Error> {
        let text = |value: &'a Value, key: &str| value.get(key).and_then(Value::as_str);
        let config = layer.get("config").unwrap_or(&Value::Null);
        let class = text(layer, "class_name")
            .ok_or_else(|| Error::Malformed("a layer of the configuration has no `class_name`".into()))?;
        let name = text(layer, "name").or_else(|| text(config, "name"));
        let name = name
            .ok_or_else(|| Error::Malformed(format!("a layer `{class}` of the configuration has no name")))?;
        if name.len() > LONGEST {
            return Err(Error::Malformed(format!(
                "the layer `{}` has a name of more than {LONGEST} bytes",
                shown(name)
            )));
        }
        refuse_own_class(layer, name)?;
        let model = matches!(class, "Sequential" | "Functional" | "Model");
        let model = model.then(|| Network::within(class, config, depth)).transpose()?;
        let calls = match layer.get("inbound_nodes").and_then(Value::as_array) {
            Some(calls) => calls.iter().map(call).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let is_operation = text(layer, "module").is_some_and(|module| module.starts_with("keras.src.ops"));
        Ok(Layer { class, name, config, is_operation, model, calls })
    }

    /// A setting; `None` if it is not there, or null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    /// A number, perhaps as Keras 2 writes those of NumPy: `{"type": "ndarray", "value": 0.1}`.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_f64().or_else(|| value.get("value")?.as_f64());
        number.map(Some).ok_or_else(|| self.wrong(key, "a number"))
    }

    /// Numbers: one, or a list, of lists of one.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let mut value = value.get("value").unwrap_or(value);
        while let Some([inner @ Value::Array(_)]) = value.as_array().map(Vec::as_slice) {
            value = inner;
        }
        let numbers = match value {
            Value::Array(numbers) => numbers.iter().map(Value::as_f64).collect(),
            number => number.as_f64().map(|number| vec![number]),
        };
        numbers.map(Some).ok_or_else(|| self.wrong(key, "a number or a list of numbers"))
    }

    /// A switch.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, Error> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.wrong(key, "true or false"))
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn text(&self, key: &str, default: &'static str) -> Result<&'a str, Error> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_str().ok_or_else(|| self.wrong(key, "a text"))
    }

    /// A size.
    ///
    /// # Errors
    /// If it is missing, or something else.
    pub(super) fn size(&self, key: &str) -> Result<usize, Error> {
        self.get(key).and_then(size).ok_or_else(|| self.wrong(key, "a size"))
    }

    /// Height and width: two sizes, or one for both. `None` if it is not there.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn pair(&self, key: &str) -> Result<Option<[usize; 2]>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let pair = match value.as_array().map(Vec::as_slice) {
            None => size(value).map(|size| [size; 2]),
            Some([height, width]) => size(height).zip(size(width)).map(<[usize; 2]>::from),
            Some(_) => None,
        };
        pair.map(Some).ok_or_else(|| self.wrong(key, "a size or two of them"))
    }

    /// Axes: one, or a list.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn axes(&self, key: &str) -> Result<Option<Vec<i64>>, Error> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let axes = match value {
            Value::Array(axes) => axes.iter().map(Value::as_i64).collect(),
            axis => axis.as_i64().map(|axis| vec![axis]),
        };
        axes.map(Some).ok_or_else(|| self.wrong(key, "an axis or a list of axes"))
    }

    /// The error of a setting that is missing or malformed.
    pub(super) fn wrong(&self, key: &str, expected: &str) -> Error {
        let found = self.get(key).map_or("missing".to_owned(), |value| short(&value.to_string()));
        Error::Malformed(format!(
            "`{key}` of the layer `{}` ({}) is {found}, not {expected}",
            self.name, self.class
        ))
    }

    /// The error of what has no counterpart: "`Conv2D` (layer `stem`) with `groups` .. : use ..".
    pub(super) fn unsupported(&self, what: impl std::fmt::Display) -> Error {
        Error::Unsupported(format!("`{}` (layer `{}`) {what}", self.class, self.name))
    }
}

fn model_name(config: &Value) -> &str {
    config.get("name").and_then(Value::as_str).unwrap_or("model")
}

/// The error of a model of another class.
fn in_python(config: &Value, class: &str) -> Error {
    Error::Unsupported(format!(
        "the model `{}` is of the class `{class}`, whose layers are in Python code: build it by `keras.Model(inputs, outputs)` or `keras.Sequential`, or import its weights with `--like SPEC`",
        model_name(config)
    ))
}

/// Refuses a layer, or an activation of it, of a class that is not Keras' own: what it computes is in Python code, whatever it is called.
///
/// # Errors
/// If it is one, with the name of the layer.
pub(super) fn refuse_own_class(value: &Value, layer: &str) -> Result<(), Error> {
    own_class(value).map_or(Ok(()), |class| {
        Err(Error::Unsupported(format!(
            "`{}` (layer `{layer}`) is a class of its own, whose Python code is never run: build the model with layers of Keras, or import its weights with `--like SPEC`",
            shown(class)
        )))
    })
}

/// What a class is registered as, or called, that is not Keras' own. Files before Keras 2.12 and `.h5` do not say whose classes are.
fn own_class(value: &Value) -> Option<&str> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let class = text("class_name")?;
    let registered = text("registered_name").unwrap_or(class);
    let is_keras = |module: &str| {
        KERAS.iter().any(|root| {
            module.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let is_own = registered != class || !text("module").is_none_or(is_keras);
    is_own.then_some(registered)
}

/// The packages of Keras.
const KERAS: [&str; 4] = ["keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras"];

/// A size of a configuration.
pub(super) fn size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|size| usize::try_from(size).ok())
}

/// The beginning of a text, for messages.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

/// What a layer is applied to in one call: `[["conv", 0, 0, {}], ..]`, or `{"args": [..], "kwargs": {..}}` of Keras 3.
fn call(value: &Value) -> Result<Vec<Reference<'_>>, Error> {
    let mut found = Vec::new();
    match value {
        Value::Object(call) => {
            tensors(call.get("args").unwrap_or(&Value::Null), DEPTH, &mut found)?;
            tensors(call.get("kwargs").unwrap_or(&Value::Null), DEPTH, &mut found)?;
        }
        call => references(call, DEPTH, &mut found)?,
    }
    Ok(found)
}

/// All tensors among the arguments of a call of Keras 3.
fn tensors<'a>(value: &'a Value, depth: usize, found: &mut Vec<Reference<'a>>) -> Result<(), Error> {
    let deeper = depth.checked_sub(1).ok_or_else(too_deep)?;
    match value {
        Value::Array(values) => values.iter().try_for_each(|value| tensors(value, deeper, found)),
        Value::Object(map) if is_tensor(map) => {
            let history =
                map.get("config").and_then(|config| config.get("keras_history")).unwrap_or(&Value::Null);
            references(history, deeper, found)
        }
        Value::Object(map) => map.values().try_for_each(|value| tensors(value, deeper, found)),
        _ => Ok(()),
    }
}

fn is_tensor(map: &Map<String, Value>) -> bool {
    map.get("class_name").and_then(Value::as_str) == Some("__keras_tensor__")
}

/// `["conv", 0, 0]`, a list of them, or a map of them.
fn references<'a>(value: &'a Value, depth: usize, found: &mut Vec<Reference<'a>>) -> Result<(), Error> {
    let deeper = depth.checked_sub(1).ok_or_else(too_deep)?;
    let malformed = || {
        Error::Malformed(format!(
            "{} in the configuration is not [layer, call, tensor]",
            short(&value.to_string())
        ))
    };
    match value {
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(layer), call, tensor, ..] => {
                let (call, tensor) = size(call).zip(size(tensor)).ok_or_else(malformed)?;
                found.push(Reference { layer, call, tensor });
                Ok(())
            }
            parts => parts.iter().try_for_each(|part| references(part, deeper, found)),
        },
        Value::Object(map) => map.values().try_for_each(|part| references(part, deeper, found)),
        Value::Null => Ok(()),
        _ => Err(malformed()),
    }
}

fn too_deep() -> Error {
    Error::Malformed("the arguments of a layer lie in too many lists".into())
}
