"""Exact recovery: the picture from one gradient in closed form, layer by layer from the top down.

R-GAP (Zhu and Blaschko 2021, arXiv 2010.07733) made robust: every quantity carries its variance, every equation
is weighted by the inverse of its own.

- `chain.py`: the victim as a chain of layers, or why it is none;
- `signal.py`: what is known at one point of the chain: values and error signal, each with its variance;
- `top.py`: the classifier's input and error signal from its own gradient;
- `elementwise.py`, `pooling.py`: through activations, BatchNorm and average pooling;
- `weighted.py`: through a linear layer or a convolution, by one weighted least-squares problem;
- `least_squares.py`, `conjugate.py`: that problem's solution by channel blocks or as a whole, its rank and condition;
- `descent.py`: all of it in order;
- `sensitivity.py`: how the whole gradient changes with the picture: J'J, the Fisher information;
- `refine.py`: Gauss-Newton steps on the likelihood of the whole update;
- `prior.py`: a Gaussian prior on natural pictures;
- `reading.py`: the update and its variances, as an observation has them;
- `answer.py`: what can be said of an answer without the truth;
- `sharpen.py`: those steps from what the layers gave, or from what a search found.

All arithmetic is float64 on the CPU, whatever the device of the cell.
"""
