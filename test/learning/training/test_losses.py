import math

import pytest
import torch

from dspdet3d_ros.learning.training.losses import diou_loss, focal_loss, focal_sum


@pytest.mark.parametrize(("logit", "target"), [(0.0, 1), (0.0, 0), (2.0, 1), (2.0, 0), (-3.0, 1)])
def test_focal_loss_is_its_formula(logit, target):
    p = 1 / (1 + math.exp(-logit))
    wanted = -0.25 * (1 - p) ** 2 * math.log(p) if target else -0.75 * p**2 * math.log(1 - p)
    assert focal_loss(torch.tensor([logit]), torch.tensor([float(target)])).item() == pytest.approx(wanted, rel=1e-5)


def test_focal_loss_stays_finite_for_extreme_logits():
    logits = torch.tensor([-1e4, 1e4, -1e4, 1e4], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0.0, 1, 1, 0])).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_sum_and_its_gradient_are_those_of_all_elements():
    for count in (0, 1, 50):
        targets = torch.zeros(count, 7)
        targets[::3, 2] = 1
        rows, columns = targets.nonzero(as_tuple=True)
        logits = (5 * torch.randn(count, 7)).requires_grad_()
        wanted = focal_loss(logits, targets).sum()
        (wanted_slopes,) = torch.autograd.grad(3 * wanted, logits)
        found = focal_sum(logits, rows, columns)
        (slopes,) = torch.autograd.grad(3 * found, logits)
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(slopes, wanted_slopes, rtol=1e-4, atol=1e-6)


def test_the_sum_stays_finite_for_extreme_logits():
    logits = torch.tensor([[-1e4, 1e4], [-1e4, 1e4]], requires_grad=True)
    loss = focal_sum(logits, torch.tensor([0, 1]), torch.tensor([0, 1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_diou_loss_of_worked_cases():
    unit = [0.0, 0, 0, 1, 1, 1]
    cases = {
        0.0: unit,  # the same
        1 - 1 / 3 + 0.25 / 4.25: [0.5, 0, 0, 1, 1, 1],  # IoU 1/3, enclosing box 1.5 × 1 × 1
        1 + 4 / 11: [2.0, 0, 0, 1, 1, 1],  # apart, enclosing box 3 × 1 × 1
    }
    for wanted, other in cases.items():
        assert diou_loss(torch.tensor([unit]), torch.tensor([other])).item() == pytest.approx(wanted, abs=1e-6)


def test_diou_loss_moves_boxes_together_even_when_they_are_apart():
    box = torch.tensor([[2.0, 0, 0, 1, 1, 1]], requires_grad=True)
    diou_loss(box, torch.tensor([[0.0, 0, 0, 1, 1, 1]])).sum().backward()
    assert box.grad[0, 0] > 0
