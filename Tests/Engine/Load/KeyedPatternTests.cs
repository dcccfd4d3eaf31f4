using C10kServer.Engine.Load;

namespace C10kServer.Engine.Tests;

public unsafe class KeyedPatternTests
{
    [Theory]
    [InlineData(16)]
    [InlineData(64)]
    [InlineData(65519)]
    [InlineData(65521)]
    [InlineData(131042)]
    public void Messages_one_after_another_differ_whatever_their_length(int size)
    {
        var pattern = new KeyedPattern(size);
        int place = pattern.Start(3);
        for (int i = 0; i < 100; i++)
        {
            int next = pattern.Advance(place, size);
            Assert.False(pattern.Matches(place, pattern.At(next), size), $"message {i + 1} is as the one before");
            place = next;
        }
    }

    [Fact]
    public void Twenty_thousand_connections_begin_each_at_a_place_of_its_own()
    {
        var pattern = new KeyedPattern(64);
        Assert.Equal(20_000, Enumerable.Range(0, 20_000).Select(i => pattern.Start((uint)i)).Distinct().Count());
    }

    [Fact]
    public void A_chunk_from_any_place_goes_on_as_the_pattern_does()
    {
        var pattern = new KeyedPattern(64);
        for (int place = 0; place < 65521; place += 4099)
        {
            byte* chunk = pattern.At(place);
            for (int i = 0; i < KeyedPattern.Chunk; i += 997)
            {
                Assert.Equal(*pattern.At(pattern.Advance(place, i)), chunk[i]);
            }
        }
    }
}
