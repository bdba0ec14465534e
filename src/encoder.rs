//! The encoder graph: pixels in, whatever features the decoder asks for by name out.

use std::path::Path;

use crate::engine::{Element, Graph, GraphFile, OperatorCount, OperatorTime, Pool, Port, Value};
use crate::error::{Error, Result};

const PIXELS: &str = "pixel_values";

/// A loaded encoder.
pub struct Encoder {
    graph: Graph,
    pixels: [Value; 1],
    features: Features,
}

/// What the encoder saw in the last picture: its outputs, by name.
pub struct Features {
    ports: Vec<Port>,
    values: Vec<Value>,
}

impl Encoder {
    /// Loads the graph for pictures of `input` height and width, to run on `pool`. `path` only names it in errors.
    pub(crate) fn load(path: &Path, onnx: GraphFile, pool: &Pool, input: [usize; 2]) -> Result<Self> {
        let shape = vec![1, 3, input[0], input[1]];
        let graph = Graph::load(path, onnx, pool, |port| (port.name == PIXELS).then(|| shape.clone()))?;
        check_input(&graph)?;
        let features = Features { ports: graph.outputs().to_vec(), values: Vec::with_capacity(graph.outputs().len()) };
        Ok(Self { graph, pixels: [Value::zeros(&shape)], features })
    }

    /// The graph's file.
    pub fn path(&self) -> &Path {
        self.graph.path()
    }

    /// Bytes of the graph's file.
    pub fn file_len(&self) -> usize {
        self.graph.file_len()
    }

    /// Inputs of the graph.
    pub fn inputs(&self) -> &[Port] {
        self.graph.inputs()
    }

    /// Outputs of the graph.
    pub fn outputs(&self) -> &[Port] {
        self.graph.outputs()
    }

    /// What the graph computes on.
    pub fn operators(&self) -> Vec<OperatorCount> {
        self.graph.operators()
    }

    /// Like [`Encoder::run`], and tells how long each operator took.
    ///
    /// # Errors
    /// [`Error::GraphRun`]; the next picture may be fine.
    ///
    /// # Panics
    /// If `pixels` is not as long as the input is.
    pub fn run_timed(&mut self, pixels: &[f32]) -> Result<Vec<OperatorTime>> {
        self.pixels[0].write_f32(|input| input.copy_from_slice(pixels));
        self.graph.run_timed(&self.pixels, &mut self.features.values)
    }

    /// Looks at one picture: `pixels` is (3, height, width), normalised.
    ///
    /// # Errors
    /// [`Error::GraphRun`]; the next picture may be fine.
    ///
    /// # Panics
    /// If `pixels` is not as long as the input is.
    pub fn run(&mut self, pixels: &[f32]) -> Result<&Features> {
        self.pixels[0].write_f32(|input| input.copy_from_slice(pixels));
        self.graph.run(&self.pixels, &mut self.features.values)?;
        Ok(&self.features)
    }
}

fn check_input(graph: &Graph) -> Result<()> {
    let problem = match graph.inputs() {
        [port] if port.name == PIXELS && port.element == Element::F32 => return Ok(()),
        [port] if port.name == PIXELS => "is not f32".into(),
        ports => format!("must be the only input, not {:?}", ports.iter().map(|port| &port.name).collect::<Vec<_>>()),
    };
    Err(Error::GraphContract { path: graph.path().into(), port: PIXELS.into(), problem })
}

impl Features {
    /// Shape and elements of an output, in row-major order.
    pub fn get(&self, name: &str) -> Option<(&[usize], &[f32])> {
        let index = self.ports.iter().position(|port| port.name == name)?;
        self.values.get(index).map(|value| (value.shape(), value.as_f32()))
    }

    pub(crate) fn value(&self, index: usize) -> &Value {
        &self.values[index]
    }
}
