namespace C10kServer.Engine.Tests;

public class MomentsTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1_795_800_000_000)]
    [InlineData(123_456_789, 1_795_800_000_123)]
    [InlineData(1_095_000_000_000, 1_795_800_000_999)]
    [InlineData(5_000_000, 0)]
    [InlineData(5_000_000, -86_400_000)]
    [InlineData(77, 7_000_000_000_000)]
    public void Both_clocks_are_kept_to_the_millisecond_whatever_the_distance_between_them(long now, long wallClock)
    {
        var moments = new Moments(now, wallClock);
        Assert.Equal((now, now, wallClock), (moments.Started, moments.LastActivity, moments.StartedOn));
        moments.LastActivity = now + 4_000_000_000;
        Assert.Equal((now, now + 4_000_000_000, wallClock), (moments.Started, moments.LastActivity, moments.StartedOn));
    }

    [Fact]
    public void They_take_no_more_room_than_two_numbers()
    {
        Assert.Equal(2 * sizeof(long), System.Runtime.CompilerServices.Unsafe.SizeOf<Moments>());
    }
}
