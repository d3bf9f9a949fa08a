"""The plugin, run by a pytest of its own."""

import pytest

from tests.unit.mesh_simulation.meshes import OBJECTS, virtual_service

pytest_plugins = ["pytester"]
POLICY = virtual_service(
    "[{match: [{uri: {prefix: /v2}}], route: [{destination: {host: reviews}}]}, {directResponse: {status: 404}}]"
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".yaml", objects=OBJECTS, policy=POLICY)
    pytester.makeini("[pytest]\nmesh_files = objects.yaml policy.yaml\n".replace(" policy", "\n    policy"))
    return pytester


def run(project: pytest.Pytester, test: str) -> pytest.RunResult:
    project.makepyfile(f"from mesh_simulation import Mesh, Request, simulate\nimport pytest\n\n\n{test}")
    return project.runpytest_subprocess("-p", "no:meshwright", "-p", "mesh_simulation.pytest_plugin")


def test_the_fixture_reads_the_files_of_the_settings(project: pytest.Pytester) -> None:
    result = run(
        project,
        "def test_it(mesh):\n    assert simulate(mesh, Request('client', 'http://reviews:9080/v2')).goes_to('reviews')\n",
    )
    result.assert_outcomes(passed=1)


def test_a_failed_question_shows_the_story(project: pytest.Pytester) -> None:
    result = run(
        project,
        "def test_it(mesh):\n    assert simulate(mesh, Request('client', 'http://reviews:9080/v1')).goes_to('reviews')\n",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*<no: goes to reviews? 404 direct_response>*", "*simulated request*", "*http[[]1[]], *policy.yaml:*"]
    )


def test_a_failed_comparison_shows_the_story(project: pytest.Pytester) -> None:
    result = run(
        project,
        "def test_it(mesh):\n    decision = simulate(mesh, Request('client', 'http://reviews:9080/v1'))\n"
        "    assert decision.status == 200\n",
    )
    result.stdout.fnmatch_lines(["*assert 404 == 200*", "*simulated request*", "*result    404 direct_response*"])


def test_an_answer_compared_is_told_once(project: pytest.Pytester) -> None:
    result = run(
        project,
        "def test_it(mesh):\n    answer = simulate(mesh, Request('client', 'http://reviews:9080/v1')).goes_to('a')\n"
        "    assert answer == True\n",
    )
    result.stdout.fnmatch_lines(["*assert goes to a == True*"])
    told, _, _ = str(result.stdout).partition("short test summary info")  # which tells it again in full where CI is set
    assert told.count("result    404 direct_response") == 1


def test_a_marker_names_other_files(project: pytest.Pytester) -> None:
    result = run(
        project,
        "@pytest.mark.mesh('objects.yaml')\ndef test_it(mesh):\n"
        "    assert simulate(mesh, Request('client', 'http://reviews:9080/v1')).status == 200\n",
    )
    result.assert_outcomes(passed=1)


def test_without_files_and_with_wrong_ones_the_message_says_so(project: pytest.Pytester) -> None:
    result = run(
        project,
        "@pytest.mark.mesh()\ndef test_none(mesh):\n    pass\n\n\n"
        "@pytest.mark.mesh('lost.yaml')\ndef test_lost(mesh):\n    pass\n",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*the fixture mesh has no files*", "*lost.yaml: cannot be read*"])


def test_a_mesh_of_text(project: pytest.Pytester) -> None:
    result = run(project, "def test_it(mesh_of):\n    assert isinstance(mesh_of('', ''), Mesh)\n")
    result.assert_outcomes(passed=1)


def test_nothing_is_imported_for_projects_without_a_mesh(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\n\n\ndef test_it():\n"
        "    assert not {'mesh_policy', 'mesh_control', 'mesh_proxy', 'pydantic'} & {*sys.modules}\n"
    )
    pytester.runpytest_subprocess("-p", "no:meshwright", "-p", "mesh_simulation.pytest_plugin").assert_outcomes(
        passed=1
    )
