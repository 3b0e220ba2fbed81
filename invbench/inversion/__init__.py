"""An engine of attacks on a trained model: pictures of a class, found by gradients or by queries."""
