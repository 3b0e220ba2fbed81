"""The engine of membership attacks: shadow models, trained as the victim is on candidates whose membership is known.

- `training.py`: shadow models as lanes of one program;
- `preparing.py`: what they answer, as an artefact that attacks share;
- `answers.py`: confidences of answers, and shadows as an attack reads them;
- `normal_inverse_gamma.py`: means and variances of few answers, with a prior that those of all candidates share;
- `thresholds.py`: a threshold chosen on shadows;
- `attack.py`: the base of attacks that use shadows.
"""
