# SPDX-License-Identifier: Apache-2.0
"""Measures of identities: cases counted by hand, the reference where it is, the files."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import TrackState
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.eval.track_files import (
    JOINTS,
    TrackRows,
    from_tracks,
    make_rows,
    read_json_lines,
    read_mot,
    read_posetrack,
    write_mot,
)
from alphapose_ros.eval.track_metrics import ALPHAS, MatchedFrame, count, measures
from alphapose_ros.eval.tracking import (
    COMBINED,
    TrackSequence,
    box_similarity,
    evaluate_tracking,
    matched_frames,
    read_sequences,
    read_truth,
    share_inside,
)


def rows(*entries: tuple[int, int, float], **more: Any) -> TrackRows:
    """Rows (frame, id, place): boxes at different places do not meet."""
    frames, ids, places = zip(*entries, strict=True) if entries else ((), (), ())
    boxes = [(100 * x, 0, 100 * x + 50, 100) for x in places]
    return make_rows(frames, ids, boxes, **more)


def judged(truth: TrackRows, results: TrackRows) -> dict[str, Any]:
    return evaluate_tracking([TrackSequence("case", truth, results)])["case"]


WALK = rows(*((t, who, who) for t in range(10) for who in (1, 2)))


def test_perfect() -> None:
    renamed = rows(*((t, who + 40, who) for t in range(10) for who in (1, 2)))
    got = judged(WALK, renamed)
    for name in ("MOTA", "IDF1", "HOTA", "DetA", "AssA", "LocA", "MOTP", "precision", "recall"):
        assert got[name] == pytest.approx(1), name
    assert (got["switches"], got["fragmentations"], got["misses"]) == (0, 0, 0)
    assert (got["people"], got["mostly_tracked"], got["mostly_lost"]) == (2, 2, 0)


def test_one_switch() -> None:
    """Person 1 is called 7 for six frames, then 8 for four; person 2 is right."""
    results = rows(
        *((t, 7 if t < 6 else 8, 1) for t in range(10)), *((t, 9, 2) for t in range(10))
    )
    got = judged(WALK, results)
    assert got["switches"] == 1
    assert got["MOTA"] == pytest.approx(1 - 1 / 20)
    assert got["IDF1"] == pytest.approx(16 / 20)  # 6 + 10 of 20 on either side
    association = (6 * 6 / 10 + 4 * 4 / 10 + 10 * 1) / 20
    assert got["AssA"] == pytest.approx(association)
    assert got["HOTA"] == pytest.approx(np.sqrt(association))
    assert got["fragmentations"] == 0


def test_one_fragmentation() -> None:
    """Person 1 is missed in frames 4 and 5 and then found under the same number."""
    results = rows(
        *((t, 7, 1) for t in range(10) if t not in (4, 5)), *((t, 9, 2) for t in range(10))
    )
    got = judged(WALK, results)
    assert (got["fragmentations"], got["switches"], got["misses"]) == (1, 0, 2)
    assert got["MOTA"] == pytest.approx(18 / 20)
    assert got["IDF1"] == pytest.approx(2 * 18 / (20 + 18))
    assert got["recall"] == pytest.approx(0.9)
    assert got["DetA"] == pytest.approx(0.9)
    assert got["AssA"] == pytest.approx((8 * 8 / 10 + 10 * 1) / 18)
    assert got["mostly_tracked"] == 1  # 8 of 10 are not more than 80 %


def test_who_leaves_the_picture_is_not_interrupted() -> None:
    there = [t for t in range(10) if t not in (4, 5)]
    got = judged(rows(*((t, 1, 1) for t in there)), rows(*((t, 7, 1) for t in there)))
    assert got["fragmentations"] == 0
    assert got["HOTA"] == pytest.approx(1)


def test_swapped_ids() -> None:
    """From frame 5 on each is called as the other."""
    results = rows(*((t, who if t < 5 else 3 - who, who) for t in range(10) for who in (1, 2)))
    got = judged(WALK, results)
    assert got["switches"] == 2
    assert got["MOTA"] == pytest.approx(18 / 20)
    assert got["IDF1"] == pytest.approx(0.5)
    assert got["AssA"] == pytest.approx(5 / 15)  # half of each result, half of each truth
    assert got["DetA"] == pytest.approx(1)


def test_false_positives_only() -> None:
    got = judged(rows(), rows(*((t, 1, 1) for t in range(4))))
    assert got["false_positives"] == 4
    assert got["precision"] == got["recall"] == got["IDF1"] == got["HOTA"] == 0
    assert got["MOTA"] == -4  # of one, as the reference has it
    beside = judged(WALK, rows(*((t, 1, 30) for t in range(10))))
    assert beside["MOTA"] == pytest.approx(-10 / 20)
    assert (beside["misses"], beside["mostly_lost"]) == (20, 2)


def test_nobody() -> None:
    got = judged(rows(), rows())
    assert all(got[name] == 0 for name in ("MOTA", "IDF1", "HOTA", "switches", "people"))
    missed = judged(WALK, rows())
    assert (missed["MOTA"], missed["HOTA"], missed["misses"]) == (0, 0, 20)


def test_hota_counts_how_well_the_boxes_lie() -> None:
    """IoU 0.8 reaches 16 of 19 thresholds."""
    frame = MatchedFrame(np.array([1]), np.array([1]), np.array([[0.8]]))
    got = measures(count([frame] * 5))
    assert got["HOTA"] == pytest.approx((ALPHAS <= 0.8 + 1e-9).sum() / 19)
    assert (got["MOTP"], got["MOTA"]) == (pytest.approx(0.8), 1)


def test_a_pair_of_the_frame_before_is_kept() -> None:
    """CLEAR MOT: another result that lies a little better does not take over."""
    first = MatchedFrame(np.array([1]), np.array([5]), np.array([[0.9]]))
    second = MatchedFrame(np.array([1]), np.array([5, 6]), np.array([[0.6, 0.95]]))
    got = measures(count([first, second]))
    assert (got["switches"], got["false_positives"]) == (0, 1)


def test_a_frame_without_results_forgets_no_pair() -> None:
    """As in TrackEval: what was paired before the gap is kept after it."""
    ids, results = np.array([1, 2]), np.array([10, 20])
    first = MatchedFrame(ids, results, np.array([[0.9, 0.6], [0.6, 0.9]]))
    last = MatchedFrame(ids, results, np.array([[0.70, 0.72], [0.72, 0.70]]))
    unseen = MatchedFrame(ids, np.zeros(0, int), np.zeros((2, 0)))
    nobody = MatchedFrame(np.zeros(0, int), results, np.zeros((0, 2)))
    for gap in ([], [unseen], [nobody], [unseen, nobody]):
        got = measures(count([first, *gap, last]))
        assert got["switches"] == 0
        # We count, and TrackEval does not, whoever was missed in such a frame.
        assert got["fragmentations"] == 2 * any(frame is unseen for frame in gap)
    lost = MatchedFrame(ids, results, np.zeros((2, 2)))  # here nobody is paired any more
    assert measures(count([first, lost, last]))["switches"] == 2


def random_frames(seed: int) -> list[MatchedFrame]:
    rng, out = np.random.default_rng(seed), []
    for _ in range(30):
        some = rng.random(2) > 0.15  # else a frame without truth or results
        truth = np.sort(rng.choice(6, rng.integers(3, 7) * some[0], replace=False))
        results = np.sort(rng.choice(8, rng.integers(2, 9) * some[1], replace=False))
        similarity = rng.uniform(0, 0.5, (len(truth), len(results)))
        same = truth[:, None] == results[None]
        similarity[same] = rng.uniform(0.4, 1, int(same.sum()))
        out.append(MatchedFrame(truth, results, similarity))
    return out


def slow_switches(frames: list[MatchedFrame]) -> int:
    """Switches of CLEAR MOT by trying every assignment, pairs of before first."""
    before: dict[int, int] = {}
    last: dict[int, int] = {}
    switches = 0
    for frame in frames:
        if not len(frame.truth) or not len(frame.results):
            continue
        pairs: dict[int, int] = {}
        most = -1.0
        longest = max(len(frame.truth), len(frame.results))
        for order in permutations(range(longest), len(frame.truth)):
            found = [
                (t, r) for t, r in enumerate(order)
                if r < len(frame.results) and frame.similarity[t, r] >= 0.5
            ]  # fmt: skip
            kept = sum(before.get(int(frame.truth[t])) == frame.results[r] for t, r in found)
            score = 1000 * kept + sum(float(frame.similarity[t, r]) for t, r in found)
            if score > most:
                most = score
                pairs = {int(frame.truth[t]): int(frame.results[r]) for t, r in found}
        switches += sum(last.get(who, result) != result for who, result in pairs.items())
        before = pairs
        last.update(pairs)
    return switches


def test_switches_equal_the_slow_ones() -> None:
    gaps = 0
    for seed in range(40):
        rng, frames = np.random.default_rng(seed), []
        for _ in range(12):
            there = rng.random(2) > 0.25
            truth, results = np.arange(3)[: 3 * there[0]], np.arange(4)[: 4 * there[1]]
            similarity = rng.uniform(0.3, 1, (len(truth), len(results)))
            frames.append(MatchedFrame(truth, results, similarity))
            gaps += not similarity.size
        assert measures(count(frames))["switches"] == slow_switches(frames), seed
    assert gaps > 100


def test_the_same_as_the_reference() -> None:
    reference = pytest.importorskip("trackeval", reason="NOT COMPARED: trackeval is absent")
    quiet = {"PRINT_CONFIG": False}
    for seed in range(8):
        frames = random_frames(seed)
        data = {
            "gt_ids": [f.truth for f in frames],
            "tracker_ids": [f.results for f in frames],
            "similarity_scores": [f.similarity for f in frames],
            "num_gt_ids": 6,
            "num_tracker_ids": 8,
            "num_gt_dets": sum(len(f.truth) for f in frames),
            "num_tracker_dets": sum(len(f.results) for f in frames),
            "num_timesteps": len(frames),
        }
        hota = reference.metrics.HOTA().eval_sequence(data)
        clear = reference.metrics.CLEAR(quiet).eval_sequence(data)
        identity = reference.metrics.Identity(quiet).eval_sequence(data)
        got = measures(count(frames))
        for name in ("HOTA", "DetA", "AssA", "AssRe", "AssPr", "LocA"):
            assert got[name] == pytest.approx(hota[name].mean(), abs=1e-12), name
        for name in ("IDF1", "IDP", "IDR"):
            assert got[name] == pytest.approx(identity[name], abs=1e-12), name
        pairs = {"MOTA": "MOTA", "MOTP": "MOTP", "switches": "IDSW", "misses": "CLR_FN"}
        pairs |= {"false_positives": "CLR_FP", "mostly_tracked": "MT", "mostly_lost": "ML"}
        for name, theirs in pairs.items():
            assert got[name] == pytest.approx(clear[theirs], abs=1e-12), name


def test_sequences_are_added_not_averaged() -> None:
    short = TrackSequence("short", rows((0, 1, 1)), rows())
    long = TrackSequence("long", WALK, WALK)
    got = evaluate_tracking([short, long])
    assert list(got) == ["short", "long", COMBINED]
    assert got[COMBINED]["recall"] == pytest.approx(20 / 21)
    assert got[COMBINED]["people"] == 3


def test_distractors_and_ignored_rows_are_asked_nothing() -> None:
    truth = rows(
        (0, 1, 1), (0, 2, 2), (0, 3, 3), (0, 4, 4),
        classes=np.array([1, 8, 1, 3]), confidences=np.array([1, 0, 0, 0]),
    )  # fmt: skip
    results = rows((0, 11, 1), (0, 12, 2), (0, 13, 3), (0, 14, 4))
    got = judged(truth, results)
    assert (got["true_boxes"], got["misses"]) == (1, 0)
    assert got["false_positives"] == 1  # the car, which is no distractor


def test_mot_text_and_back(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 10, 20], [5.5, 6.25, 30, 60]])
    written = make_rows([0, 3], [4, 2], boxes, confidences=np.array([0.5, 0.25]))
    write_mot(tmp_path / "out.txt", written)
    assert (tmp_path / "out.txt").read_text().startswith("1,4,1.00,1.00,10.00,20.00,0.5000,-1")
    back = read_mot(tmp_path / "out.txt")
    np.testing.assert_array_equal(back.frames, [0, 3])
    np.testing.assert_allclose(back.boxes, boxes)
    np.testing.assert_allclose(back.confidences, [0.5, 0.25])
    assert (back.classes == 1).all()


def test_mot_truth_of_both_ages(tmp_path: Path) -> None:
    new, old = tmp_path / "new.txt", tmp_path / "old.txt"
    new.write_text("2,5,11,21,30,40,0,8,0.25\n\n")
    old.write_text("1, 5, 11, 21, 30, 40, 1, 3.5, 7.5, 0\n")
    row = read_mot(new)
    assert (row.frames[0], row.classes[0], row.confidences[0]) == (1, 8, 0)
    assert row.visibility[0] == pytest.approx(0.25)
    np.testing.assert_allclose(row.boxes, [[10, 20, 40, 60]])
    assert read_mot(old).classes[0] == 1
    (tmp_path / "empty.txt").write_text("")
    assert len(read_mot(tmp_path / "empty.txt")) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,x,4,5,6\n", "broken.txt:1: expected numbers"),
        ("1,2,3\n", "broken.txt:1: expected frame"),
        ("0,2,3,4,5,6,1\n", "from 1"),
        ("1,2,nan,4,5,6,1\n", "broken.txt:1: expected frame"),
        ("1,2,3,4,5,6,1\n1,2,9,9,5,6,1\n", "id 2 once in frame 1"),
        ("99999999999999999999,2,3,4,5,6,1\n", "broken.txt:1: expected frame"),
        ("1,1e30,3,4,5,6,1\n", "broken.txt:1: expected frame"),
        ("1,2,3,4,5,6,1,1e30,1\n", "broken.txt:1: expected frame"),
        ("1,2,3,4,1e39,6,1\n", "finite boxes, got inf for id 2 in frame 1"),
    ],
)
def test_broken_text_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "broken.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_mot(tmp_path / "broken.txt")


def test_truth_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for name, read in (("gt.txt", read_mot), ("gt.json", read_posetrack)):
        (tmp_path / name).write_bytes(b"1,2,\xff\xfe")
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def test_json_lines_count_the_tracked_only(tmp_path: Path) -> None:
    person = {"id": 3, "state": "tracked", "score": 0.5, "box": [1, 2, 3, 4], "keypoints": []}
    lines = [
        {"frame": 0, "stamp": 0.0, "camera": "c", "people": []},
        {"frame": 1, "stamp": 0.1, "camera": "c", "people": [person]},
        {"frame": 2, "stamp": 0.2, "camera": "c", "people": [person | {"state": "tentative"}]},
    ]
    file = tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    got = read_json_lines(file)
    assert (got.frames.tolist(), got.ids.tolist()) == ([1], [3])
    np.testing.assert_allclose(got.boxes, [[1, 2, 4, 6]])
    file.write_text('{"frame": 0}\n')
    with pytest.raises(InputError, match=r"out\.jsonl:1"):
        read_json_lines(file)
    for key, value in (("frame", 1e30), ("frame", float("inf")), ("id", 2**70)):
        broken = {"frame": 0, "people": [person | {key: value}], key: value}
        file.write_text(json.dumps(broken) + "\n")
        with pytest.raises(InputError, match=r"out\.jsonl:1: expected a line of `run --json`"):
            read_json_lines(file)
    for value in (float("nan"), 1e300):
        broken = {"frame": 4, "people": [person | {"box": [1, value, 3, 4]}]}
        file.write_text(json.dumps(broken) + "\n")
        with pytest.raises(InputError, match=r"out\.jsonl: expected finite boxes, got .* frame 5"):
            read_json_lines(file)
    other = lines[0] | {"camera": "d"}
    file.write_text("".join(json.dumps(line) + "\n" for line in (*lines, other)))
    with pytest.raises(InputError, match=r"out\.jsonl:4: expected one camera, got \['c', 'd'\]"):
        read_json_lines(file)


def test_a_pipelines_people_count_when_tracked() -> None:
    tracks = make_tracks(3, HALPE136)
    tracks.states[1] = TrackState.LOST
    got = from_tracks([tracks[[]], tracks])
    assert got.frames.tolist() == [1, 1]
    assert got.ids.tolist() == tracks.ids[[0, 2]].tolist()
    np.testing.assert_array_equal(got.keypoints, tracks.poses.keypoints[[0, 2], : len(JOINTS)])
    assert len(from_tracks([])) == 0


NAMES = ["nose", "head_bottom", "head_top", "left_ear", "left_shoulder"]


def posetrack(people: list[tuple[int, int, float]], *, boxes: bool = True) -> dict[str, Any]:
    """People (image, track, shift) of the images 30, 31, 32, of which 31 was not annotated."""
    shape = np.array([[50, 10], [50, 30], [50, 0], [0, 0], [30, 35]], float)
    seen = np.array([1, 1, 1, 0, 1])
    annotations = [
        {
            "image_id": image,
            "track_id": track,
            "keypoints": np.column_stack([shape + shift, seen]).ravel().tolist(),
            "scores": [],  # as in the set's own files
            **({"bbox": [shift, shift, 100, 200]} if boxes else {}),
        }
        for image, track, shift in people
    ]
    images = [{"id": n, "is_labeled": n != 31, "file_name": f"{n}.jpg"} for n in (32, 30, 31)]
    return {"images": images, "annotations": annotations, "categories": [{"keypoints": NAMES}]}


def test_posetrack_by_poses(tmp_path: Path) -> None:
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    truth.write_text(json.dumps(posetrack([(30, 1, 0), (32, 1, 5)])))
    results.write_text(json.dumps(posetrack([(30, 8, 1), (31, 9, 0), (32, 8, 90)], boxes=False)))
    read = read_posetrack(truth)
    assert (read.image_ids, read.labelled) == ((30, 31, 32), frozenset({0, 2}))
    neck = JOINTS.index("neck")
    np.testing.assert_allclose(read.rows.keypoints[0, neck], [50, 30])
    assert read.rows.joint_scores[0, JOINTS.index("left_ear")] == 0
    got = evaluate_tracking(read_sequences(truth, results), "poses")["truth"]
    assert (got["misses"], got["false_positives"]) == (1, 1)  # too far off; 31 does not count
    assert got["recall"] == pytest.approx(0.5)


def test_own_scores_of_posetrack_results_count(tmp_path: Path) -> None:
    content = posetrack([(30, 1, 0)])
    content["annotations"][0]["scores"] = [0.25, 0.5, 0, 1, 0.75]
    (tmp_path / "results.json").write_text(json.dumps(content))
    got = read_posetrack(tmp_path / "results.json").rows.joint_scores[0]
    names = ("nose", "neck", "head_top", "left_shoulder")
    assert [got[JOINTS.index(name)] for name in names] == [0.25, 0.5, 0, 0.75]


def test_people_without_annotated_joints_are_asked_for_no_pose(tmp_path: Path) -> None:
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    content = posetrack([(30, 1, 0), (30, 2, 300), (32, 1, 5)])
    content["annotations"][1]["keypoints"][2::3] = [0] * len(NAMES)
    truth.write_text(json.dumps(content))
    results.write_text(json.dumps(posetrack([(30, 8, 0), (30, 9, 300), (32, 8, 5)])))
    sequences = read_sequences(truth, results)
    got = evaluate_tracking(sequences, "poses")["truth"]
    assert (got["MOTA"], got["true_boxes"], got["false_positives"]) == (1, 2, 0)
    assert evaluate_tracking(sequences)["truth"]["true_boxes"] == 3  # their boxes are annotated
    results.write_text(json.dumps(posetrack([(30, 8, 0), (30, 9, 700), (32, 8, 5)])))
    got = evaluate_tracking(read_sequences(truth, results), "poses")["truth"]
    assert got["false_positives"] == 1  # it lies on nobody


@pytest.mark.parametrize("match", ["boxes", "poses"])
def test_results_in_posetracks_regions_count_only_for_the_annotated(
    tmp_path: Path, match: str
) -> None:
    """A wedge left of x = y holds track 1; another region lies beside it from x = 600 on."""
    truth, results = tmp_path / "truth.json", tmp_path / "results.json"
    content = posetrack([(30, 1, 0), (32, 1, 5)])
    image = next(image for image in content["images"] if image["id"] == 30)
    image["ignore_regions_x"] = [[0, 400, 0], [600, 900, 900, 600]]
    image["ignore_regions_y"] = [[0, 400, 400], [600, 600, 900, 900]]
    truth.write_text(json.dumps(content))

    def judge(*strangers: tuple[int, int, float]) -> dict[str, Any]:
        people = [(30, 8, 0), (32, 8, 5), *strangers]
        results.write_text(json.dumps(posetrack(people)))
        return evaluate_tracking(read_sequences(truth, results), match)["truth"]

    assert judge()["MOTA"] == 1  # the person in the region is annotated, and asked for
    assert judge((30, 9, 610))["MOTA"] == 1
    assert judge((30, 9, 570))["MOTA"] == 1  # 70 % of its width, 85 % of its height lie there
    assert judge((30, 9, 540))["false_positives"] == 1  # 40 % and 70 %
    assert judge((32, 9, 610))["false_positives"] == 1  # the other image has no such region
    read = read_truth(truth)
    assert sorted(read.regions) == [0]
    np.testing.assert_array_equal(read.regions[0][0], [[0, 0], [400, 400], [0, 400]])


def test_share_inside_by_hand() -> None:
    boxes = np.array([[0, 0, 8, 8], [4, 4, 12, 12], [20, 0, 28, 8]], np.float32)
    hook = np.array([[0, 0], [12, 0], [12, 4], [4, 4], [4, 12], [0, 12]], np.float32)
    np.testing.assert_allclose(share_inside(boxes, [hook]), [0.75, 0, 0])
    over = np.array([[0, 0], [8, 0], [8, 8], [0, 8]], np.float32)  # both cover a part of the first
    np.testing.assert_allclose(share_inside(boxes, [hook, over]), [1, 0.25, 0])
    assert share_inside(boxes, []).tolist() == [0, 0, 0]
    assert share_inside(boxes[:0], [hook]).shape == (0,)


def test_broken_regions_are_refused(tmp_path: Path) -> None:
    for x, y in (([[0, 1, 2]], [[0, 1]]), ([[0, 1, 2]], []), (["a"], ["b"]), ([3], [4])):
        content = posetrack([(30, 1, 0)])
        content["images"][0] |= {"ignore_regions_x": x, "ignore_regions_y": y}
        (tmp_path / "truth.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"truth\.json: expected PoseTrack18"):
            read_truth(tmp_path / "truth.json")


def test_poses_need_poses() -> None:
    with pytest.raises(InputError, match="case: expected a truth with poses"):
        evaluate_tracking([TrackSequence("case", WALK, WALK)], "poses")
    posed = replace(WALK, joint_scores=np.ones_like(WALK.joint_scores))
    with pytest.raises(InputError, match="case: expected results with poses"):
        evaluate_tracking([TrackSequence("case", posed, WALK)], "poses")
    empty = evaluate_tracking([TrackSequence("case", rows(), WALK)], "poses")
    assert empty["case"]["false_positives"] == 20


def test_broken_posetrack_is_refused(tmp_path: Path) -> None:
    for text in ("[]", "{", '{"images": [], "annotations": [{"image_id": 1}]}x'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=r"x\.json: expected PoseTrack18"):
            read_posetrack(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"track_id": 1e400}, "expected PoseTrack18"),
        ({"track_id": 2**70}, "expected PoseTrack18"),
        ({"keypoints": [float("nan")] * 3 * len(NAMES)}, "expected finite"),
        ({"scores": [float("nan")] * len(NAMES)}, "expected finite joint_scores"),
        ({"bbox": [0, 0, float("inf"), 9]}, "expected finite boxes, got inf for id 1 in frame 1"),
    ],
)  # fmt: skip
def test_posetrack_numbers_that_are_none_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    content = posetrack([(30, 1, 0)])
    content["annotations"][0] |= change
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"x\.json: {message}"):
        read_posetrack(tmp_path / "x.json")


def test_folders_of_sequences(tmp_path: Path) -> None:
    truth, results = tmp_path / "truth", tmp_path / "results"
    results.mkdir()
    for name in ("MOT17-02", "MOT17-04"):
        (truth / name / "gt").mkdir(parents=True)
        write_mot(truth / name / "gt" / "gt.txt", WALK)
        write_mot(results / f"{name}.txt", WALK)
    got = evaluate_tracking(read_sequences(truth, results))
    assert list(got) == ["MOT17-02", "MOT17-04", COMBINED]
    assert got[COMBINED]["HOTA"] == pytest.approx(1)
    one = read_sequences(truth / "MOT17-02", results / "MOT17-02.txt")
    assert [each.name for each in one] == ["MOT17-02"]
    assert len(read_truth(truth / "MOT17-02").truth) == len(WALK)
    (results / "MOT17-04.txt").unlink()
    with pytest.raises(InputError, match=r"expected MOT17-04\.txt"):
        read_sequences(truth, results)
    with pytest.raises(InputError, match="expected a folder"):
        read_sequences(truth, results / "MOT17-02.txt")
    with pytest.raises(InputError, match="no such file"):
        read_sequences(tmp_path / "none.txt", results)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="nothing of them"):
        read_sequences(empty, results)


def test_frames_without_anybody_say_nothing() -> None:
    frames = matched_frames(TrackSequence("x", rows((7, 1, 1)), rows((2, 1, 1))), box_similarity)
    assert [(len(f.truth), len(f.results)) for f in frames] == [(0, 1), (1, 0)]


def test_who_is_found_late_is_no_fragment():
    truth = rows(*((t, 1, 1) for t in range(10)))
    got = judged(truth, rows(*((t, 7, 1) for t in range(4, 10))))
    assert (got["fragmentations"], got["misses"], got["switches"]) == (0, 4, 0)
