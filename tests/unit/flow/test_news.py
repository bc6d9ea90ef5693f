"""Waking those who follow: nothing told between reading and waiting is missed."""

import asyncio

import pytest

from app.flow.ports import News


async def test_what_is_told_between_reading_and_waiting_is_not_missed() -> None:
    news = News()
    with news.listen("work") as wait:
        news.tell("work")
        async with asyncio.timeout(5):
            await wait(3600)


async def test_what_was_told_once_wakes_once() -> None:
    news = News()
    with news.listen("work") as wait:
        news.tell("work")
        await wait(3600)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wait(3600)


async def test_another_topic_wakes_nobody_and_an_end_comes_by_itself() -> None:
    news = News()
    with news.listen("a") as wait:
        news.tell("b")
        await wait(0.01)
    news.tell("a")
