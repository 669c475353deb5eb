//! Messages of protocol buffers, written by hand.

/// A message so far.
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new() -> Self {
        Message(Vec::new())
    }

    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    /// A whole number.
    pub(crate) fn int(self, number: u64, value: i64) -> Self {
        self.varint(number << 3).varint(value.cast_unsigned())
    }

    /// A message, or bytes.
    pub(crate) fn field(self, number: u64, bytes: &[u8]) -> Self {
        let mut message = self.varint(number << 3 | 2).varint(bytes.len() as u64);
        message.0.extend_from_slice(bytes);
        message
    }

    pub(crate) fn text(self, number: u64, text: &str) -> Self {
        self.field(number, text.as_bytes())
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A node with attributes.
pub(crate) fn node_with(
    op: &str,
    name: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[Vec<u8>],
) -> Vec<u8> {
    let node = inputs.iter().fold(Message::new(), |node, input| node.text(1, input));
    let node = node.text(2, output).text(3, name).text(4, op);
    attributes.iter().fold(node, |node, attribute| node.field(5, attribute)).done()
}

/// A node, as a field of the graph.
pub(crate) fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    Message::new().field(1, &node_with(op, name, inputs, output, &[])).done()
}

/// A tensor of f32, as a field of the graph.
pub(crate) fn initializer(name: &str, dims: &[i64], numbers: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let tensor = dims.iter().fold(Message::new(), |tensor, size| tensor.int(1, *size));
    Message::new().field(5, &tensor.int(2, 1).text(8, name).field(9, &bytes).done()).done()
}

/// A file of opset 17, with the input `image` of these sizes (0: left open), one output, and these fields of the graph.
pub(crate) fn model(graph: Vec<u8>, dims: &[i64], output: &str) -> Vec<u8> {
    let shape = dims.iter().fold(Message::new(), |shape, size| match size {
        0 => shape.field(1, &Message::new().text(2, "open").done()),
        size => shape.field(1, &Message::new().int(1, *size).done()),
    });
    let tensor = Message::new().int(1, 1).field(2, &shape.done()).done();
    let input = Message::new().text(1, "image").field(2, &Message::new().field(1, &tensor).done()).done();
    let ends = Message::new().field(11, &input).field(12, &Message::new().text(1, output).done()).done();
    let opset = Message::new().int(2, 17).done();
    Message::new().int(1, 8).field(7, &[graph, ends].concat()).field(8, &opset).done()
}

/// A convolution of an image of 2x2x3, whose kernel of three f32 lies in another file.
pub(crate) fn external(location: &str, offset: &str, length: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| Message::new().text(1, key).text(2, value).done();
    let sizes = [1, 3, 1, 1].iter().fold(Message::new(), |tensor, size| tensor.int(1, *size));
    let places = [("location", location), ("offset", offset), ("length", length)];
    let tensor = sizes.int(2, 1).text(8, "w");
    let tensor = places.iter().fold(tensor, |tensor, (key, value)| tensor.field(13, &entry(key, value)));
    let tensor = Message::new().field(5, &tensor.int(14, 1).done()).done();
    model([node("Conv", "c", &["image", "w"], "y"), tensor].concat(), &[1, 3, 2, 2], "y")
}
