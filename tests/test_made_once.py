import gc
import threading
import time
import weakref

from et_agent.made_once import MadeOnce


class Owner:
    pass


def test_it_is_made_once_per_object_in_any_thread() -> None:
    def make(_: Owner) -> object:
        time.sleep(0.01)
        return object()

    table, one, other = MadeOnce(make), Owner(), Owner()
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(table.of(one))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert table.of(other) is not table.of(one)


def test_it_ends_with_the_object() -> None:
    table, owner = MadeOnce[Owner, set[int]](lambda _: {1}), Owner()
    made = weakref.ref(table.of(owner))
    assert made() is not None
    del owner
    gc.collect()
    assert made() is None
