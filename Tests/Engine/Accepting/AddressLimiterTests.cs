using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Tests;

public class AddressLimiterTests
{
    [Theory]
    [InlineData("192.0.2.1", "192.0.2.1")]
    [InlineData("192.0.2.1", "::ffff:192.0.2.1")]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff")]
    [InlineData("::1", "::2")]
    [InlineData("fe80::1%2", "fe80::2%2")]
    public void Addresses_of_one_network_share_a_limit(string one, string other)
    {
        var limiter = new AddressLimiter();
        Assert.True(limiter.TryTake(Parse(one), 2));
        Assert.True(limiter.TryTake(Parse(other), 2));
        Assert.False(limiter.TryTake(Parse(one), 2));
        Assert.False(limiter.TryTake(Parse(other), 2));
        limiter.Release(Parse(one));
        Assert.True(limiter.TryTake(Parse(other), 2));
    }

    [Theory]
    [InlineData("192.0.2.1", "192.0.2.2")]
    [InlineData("::ffff:192.0.2.1", "::ffff:192.0.2.2")]
    [InlineData("192.0.2.1", "::192.0.2.1")]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:3::1")]
    [InlineData("fe80::1%2", "fe80::1%3")]
    public void Addresses_of_different_networks_have_a_limit_each(string one, string other)
    {
        var limiter = new AddressLimiter();
        Assert.True(limiter.TryTake(Parse(one), 1));
        Assert.True(limiter.TryTake(Parse(other), 1));
        Assert.False(limiter.TryTake(Parse(one), 1));
    }

    private static SockAddr Parse(string address) => SockAddr.From(IPAddress.Parse(address), Random.Shared.Next(65536));
}
