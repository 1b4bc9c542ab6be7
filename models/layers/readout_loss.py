"""Readout of a spiking network with a cross-entropy loss over the maximum in time.

Equations (s holds the filtered spikes of the layer before, s' = k s + z, at each time):

    y_t  = s_t W + b                                    potentials of a readout that never fires
    m    = max over t of y_t
    loss = mean over the batch of  log(sum over c of exp(m_c)) - m_label

A leaky readout filters what the weights make of spikes; since both are linear, the spikes may as
well be filtered first, which a network does beside its neurons. The softmax of the largest
potentials is the distribution over classes. The gradient goes to the times of the maxima alone.

Units: s, W, b and the loss (in nats) are dimensionless; labels are integers from 0 to classes - 1.

References:
    Cramer, B., Stradmann, Y., Schemmel, J., Zenke, F. (2022). The Heidelberg spiking data sets for
    the systematic evaluation of spiking neural networks. IEEE Transactions on Neural Networks and
    Learning Systems 33(7), 2744-2757. doi:10.1109/TNNLS.2020.3044364
"""

# gradgen: shape s=(time, batch, n) w=(n, classes) b=(classes,) labels=(batch,):int32
# gradgen: size time=100 batch=32 n=256 classes=20
# gradgen: wrt s, w, b

import jax
import jax.numpy as jnp


def readout_loss(s, w, b, labels):
    """Compare the readout with the labels.

    Args:
        s: filtered spikes of the layer before at each time.
        w: weights, a row for each neuron of that layer.
        b: bias of each class.
        labels: the class of each example.

    Returns:
        The mean cross-entropy.
    """
    # gradgen: range s=0:3 w=-1:1 b=-1:1
    largest = (s @ w + b).max(0)
    scores = jax.nn.log_softmax(largest)
    return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean()
