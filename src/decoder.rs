//! The decoder graph, one step for all rows of the beam at once, wired by the names of its tensors.
//!
//! - `input_ids` takes the last token of each row, `logits` gives the scores of the next.
//! - An input named like an encoder output takes that output.
//! - An input `past.X` or `past_key_values.X` takes the output `present.X` of the step before; at the first step it takes
//!   the encoder output of its own name, or else zeros (nothing at all on an axis that grows).
//! - Where an encoder output has one row and the input has the beam's, each row takes a copy.

use std::path::Path;

use crate::caption::Token;
use crate::encoder::Features;
use crate::engine::{Element, Graph, GraphFile, OperatorCount, OperatorTime, Pool, Port, Value};
use crate::error::{Error, Result};
use crate::search::{Beams, Hypothesis, MAX_CANDIDATES, NextToken, search};
use crate::spec::GenerationSpec;

const TOKENS: &str = "input_ids";
const LOGITS: &str = "logits";

/// How the names of inputs begin that carry state from step to step.
pub(crate) const PAST_PREFIXES: [&str; 2] = ["past_key_values.", "past."];

/// A loaded decoder with its search.
pub struct Decoder {
    step: DecoderStep,
    rules: GenerationSpec,
    beams: Box<Beams>,
}

impl Decoder {
    /// Loads the graph for `rules.beam` rows, to run on `pool`. `path` only names it in errors.
    pub(crate) fn load(
        path: &Path,
        onnx: GraphFile,
        pool: &Pool,
        encoder_outputs: &[Port],
        rules: GenerationSpec,
    ) -> Result<Self> {
        let step = DecoderStep::load(path, onnx, pool, encoder_outputs, rules.beam)?;
        Ok(Self { step, rules, beams: Box::default() })
    }

    /// The graph's file.
    pub fn path(&self) -> &Path {
        self.step.graph.path()
    }

    /// Bytes of the graph's file.
    pub fn file_len(&self) -> usize {
        self.step.graph.file_len()
    }

    /// Inputs of the graph.
    pub fn inputs(&self) -> &[Port] {
        self.step.graph.inputs()
    }

    /// Outputs of the graph.
    pub fn outputs(&self) -> &[Port] {
        self.step.graph.outputs()
    }

    /// What the graph computes on.
    pub fn operators(&self) -> Vec<OperatorCount> {
        self.step.graph.operators()
    }

    /// Number of scores that a step gives for each row.
    pub fn vocabulary_len(&self) -> usize {
        self.step.vocabulary_len
    }

    /// The rules of the search.
    pub fn rules(&self) -> &GenerationSpec {
        &self.rules
    }

    /// Runs the first step for `features`: the graph alone, for all rows of the beam.
    ///
    /// # Errors
    /// [`Error::GraphRun`]; the next picture may be fine.
    pub fn run_step(&mut self, features: &Features) -> Result<()> {
        self.step.start(features);
        self.step.graph.run(&self.step.inputs, &mut self.step.outputs)
    }

    /// Runs the first step for `features`, and tells how long each operator took.
    ///
    /// # Errors
    /// [`Error::GraphRun`]; the next picture may be fine.
    pub fn run_timed(&mut self, features: &Features) -> Result<Vec<OperatorTime>> {
        self.step.start(features);
        self.step.graph.run_timed(&self.step.inputs, &mut self.step.outputs)
    }

    /// Runs as many steps as the longest caption has, with every row taken from another, so that all memory that a
    /// caption can need has been used once.
    ///
    /// # Errors
    /// [`Error::GraphRun`].
    pub(crate) fn rehearse(&mut self, features: &Features) -> Result<()> {
        let rows = self.rules.beam;
        let (tokens, parents) = (vec![0; rows], (0..rows).rev().collect::<Vec<_>>());
        self.step.start(features);
        (0..self.rules.max_tokens).try_for_each(|_| self.step.step(&tokens, &parents))
    }

    /// Writes the best caption for `features` into `best`.
    ///
    /// # Errors
    /// [`Error::GraphRun`]; the next picture may be fine.
    pub fn run(&mut self, features: &Features, best: &mut Hypothesis) -> Result<()> {
        self.step.start(features);
        search(&mut self.step, &self.rules, &mut self.beams, best)?;
        if best.log_probability.is_finite() {
            return Ok(());
        }
        Err(Error::GraphRun { path: self.path().into(), cause: "no token has a score that is a number".into() })
    }

    /// What the beam of the last [`run`](Self::run) holds, the best caption first: at least as many as the beam is wide,
    /// unless the search found fewer.
    pub fn alternatives(&self) -> heapless::Vec<&Hypothesis, MAX_CANDIDATES> {
        self.beams.ranked(&self.rules)
    }
}

/// Where an input of the step comes from.
enum Feed {
    Tokens,
    /// From the encoder, once a picture.
    Feature {
        encoder_output: usize,
    },
    /// From the step before.
    State {
        present: usize,
        first: Option<usize>,
    },
}

struct DecoderStep {
    graph: Graph,
    feeds: Vec<Feed>, // one an input
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    logits: usize, // which output
    vocabulary_len: usize,
    rows: usize,
    is_first: bool,
}

impl DecoderStep {
    fn load(path: &Path, onnx: GraphFile, pool: &Pool, encoder_outputs: &[Port], rows: usize) -> Result<Self> {
        let graph = Graph::load(path, onnx, pool, |port| known_shape(port, encoder_outputs, rows))?;
        let contract = Contract { graph: &graph, encoder_outputs, rows };
        let feeds = graph.inputs().iter().map(|port| contract.feed(port)).collect::<Result<Vec<_>>>()?;
        if !feeds.iter().any(|feed| matches!(feed, Feed::Tokens)) {
            return Err(contract.broken(TOKENS, "is missing among the inputs"));
        }
        let logits = contract.output(LOGITS)?;
        let vocabulary_len = contract.vocabulary_len(&graph.outputs()[logits], rows)?;
        let inputs = graph.inputs().iter().zip(&feeds).map(|(port, feed)| first_value(port, feed, rows)).collect();
        let outputs = Vec::with_capacity(graph.outputs().len());
        Ok(Self { graph, feeds, inputs, outputs, logits, vocabulary_len, rows, is_first: true })
    }

    /// Takes the features of a new picture.
    fn start(&mut self, features: &Features) {
        self.is_first = true;
        self.outputs.clear();
        for ((feed, input), port) in self.feeds.iter().zip(&mut self.inputs).zip(self.graph.inputs()) {
            match *feed {
                Feed::Feature { encoder_output: output } | Feed::State { first: Some(output), .. } => {
                    take_feature(features.value(output), port, input);
                }
                Feed::State { first: None, .. } => *input = first_value(port, feed, self.rows),
                Feed::Tokens => {}
            }
        }
    }

    /// Hands each state on, every row from its parent.
    fn feed_back(&mut self, parents: &[usize]) {
        let is_in_place = parents.iter().enumerate().all(|(row, parent)| row == *parent);
        for (feed, input) in self.feeds.iter().zip(&mut self.inputs) {
            if let Feed::State { present, .. } = *feed {
                if is_in_place {
                    *input = self.outputs[present].clone();
                } else {
                    gather_rows(&self.outputs[present], parents, input);
                }
            }
        }
    }
}

impl NextToken for DecoderStep {
    fn step(&mut self, tokens: &[Token], parents: &[usize]) -> Result<()> {
        if !self.is_first {
            self.feed_back(parents);
        }
        self.is_first = false;
        for (feed, input) in self.feeds.iter().zip(&mut self.inputs) {
            if matches!(feed, Feed::Tokens) {
                input.set_tokens(tokens);
            }
        }
        self.graph.run(&self.inputs, &mut self.outputs)
    }

    fn logits(&self, row: usize) -> &[f32] {
        let logits = self.outputs[self.logits].as_f32();
        logits.chunks_exact(self.vocabulary_len).nth(row).unwrap_or(&[])
    }
}

fn take_feature(feature: &Value, port: &Port, input: &mut Value) {
    let rows = port.dims[0];
    if rows.is_none() || rows == feature.shape().first().copied() {
        *input = feature.clone();
        return;
    }
    let row = feature.as_f32();
    if !row.is_empty() {
        input.write_f32(|rows| rows.chunks_exact_mut(row.len()).for_each(|copy| copy.copy_from_slice(row)));
    }
}

/// Writes row `parents[i]` of `source` into row `i` of `target`.
fn gather_rows(source: &Value, parents: &[usize], target: &mut Value) {
    if source.shape() != target.shape() {
        *target = Value::zeros(source.shape());
    }
    let elements = source.as_f32();
    let row_len = (elements.len() / source.shape().first().map_or(1, |rows| *rows).max(1)).max(1);
    target.write_f32(|rows| {
        for (row, parent) in rows.chunks_exact_mut(row_len).zip(parents) {
            // `Contract` has checked that there are as many rows as parents, where the graph says how many.
            if let Some(parent) = elements.get(parent * row_len..(parent + 1) * row_len) {
                row.copy_from_slice(parent);
            }
        }
    });
}

/// What an input holds before it is fed; an axis that grows starts empty.
fn first_value(port: &Port, feed: &Feed, rows: usize) -> Value {
    match feed {
        Feed::Tokens => Value::tokens(rows),
        _ => Value::zeros(&port.dims.iter().map(|dim| dim.unwrap_or(0)).collect::<Vec<_>>()),
    }
}

/// The shape that an input of the decoder will have, as far as the encoder and the beam tell.
fn known_shape(port: &Port, encoder_outputs: &[Port], rows: usize) -> Option<Vec<usize>> {
    if port.name == TOKENS {
        return Some(vec![rows, 1]);
    }
    let output = encoder_outputs.iter().find(|output| output.name == port.name)?;
    let mut shape = output.dims.iter().copied().collect::<Option<Vec<_>>>()?;
    if let (Some(None), Some(first)) = (port.dims.first(), shape.first_mut())
        && *first == 1
    {
        *first = rows;
    }
    Some(shape)
}

/// Checks the graph against the contract.
struct Contract<'a> {
    graph: &'a Graph,
    encoder_outputs: &'a [Port],
    rows: usize,
}

/// Whether a tensor of one shape may be fed to the other; open axes fit any.
fn fits(from: &[Option<usize>], to: &[Option<usize>]) -> bool {
    let fits = |(from, to): (&Option<usize>, &Option<usize>)| from.is_none() || to.is_none() || from == to;
    !from.is_empty() && from.len() == to.len() && from.iter().zip(to).all(fits)
}

impl Contract<'_> {
    fn feed(&self, port: &Port) -> Result<Feed> {
        let encoder_output = self.encoder_outputs.iter().position(|output| output.name == port.name);
        if port.name == TOKENS {
            return self.has_type(port, Element::I64).map(|()| Feed::Tokens);
        }
        self.has_type(port, Element::F32)?;
        if port.dims.is_empty() {
            return Err(self.broken(&port.name, "has no axes"));
        }
        if let Some(state) = PAST_PREFIXES.iter().find_map(|prefix| port.name.strip_prefix(prefix)) {
            let present = self.output(&format!("present.{state}"))?;
            let present_port = &self.graph.outputs()[present];
            self.has_type(present_port, Element::F32)?;
            if !fits(&present_port.dims, &port.dims) || !fits(&present_port.dims[..1], &[Some(self.rows)]) {
                let problem = format!("has shape {:?}, must be that of {:?}", present_port.dims, port.name);
                return Err(self.broken(&present_port.name, &problem));
            }
            return Ok(Feed::State { present, first: encoder_output });
        }
        let encoder_output = encoder_output
            .ok_or_else(|| self.broken(&port.name, "is neither an encoder output, `input_ids` nor `past.*`"))?;
        self.has_type(&self.encoder_outputs[encoder_output], Element::F32)?;
        Ok(Feed::Feature { encoder_output })
    }

    fn output(&self, name: &str) -> Result<usize> {
        let found = self.graph.outputs().iter().position(|port| port.name == name);
        found.ok_or_else(|| self.broken(name, "is missing among the outputs"))
    }

    fn has_type(&self, port: &Port, element: Element) -> Result<()> {
        if port.element == element {
            return Ok(());
        }
        Err(self.broken(&port.name, &format!("must be {element:?}, is {:?}", port.element)))
    }

    fn vocabulary_len(&self, logits: &Port, rows: usize) -> Result<usize> {
        self.has_type(logits, Element::F32)?;
        match logits.dims[..] {
            [Some(r), Some(len)] | [Some(r), Some(1), Some(len)] if r == rows && len > 0 => Ok(len),
            _ => Err(self.broken(LOGITS, &format!("has shape {:?}, must be [{rows}, vocabulary]", logits.dims))),
        }
    }

    fn broken(&self, port: &str, problem: &str) -> Error {
        Error::GraphContract { path: self.graph.path().into(), port: port.into(), problem: problem.into() }
    }
}
