using System.Net;
using C10kServer.Engine.Native;

namespace C10kServer.Engine.Tests;

public class SockAddrTests
{
    [Theory]
    [InlineData("127.0.0.1", 7, 16)]
    [InlineData("255.1.2.3", 65535, 16)]
    [InlineData("0.0.0.0", 0, 16)]
    [InlineData("::1", 443, 28)]
    [InlineData("2001:db8::ff00:42:8329", 8080, 28)]
    [InlineData("fe80::1%3", 9, 28)]
    public void An_address_survives_the_way_to_the_kernel_and_back(string address, int port, int length)
    {
        var endPoint = new IPEndPoint(IPAddress.Parse(address), port);
        Span<byte> bytes = stackalloc byte[SockAddr.MaxLength];
        Assert.Equal(length, SockAddr.From(endPoint.Address, port).Write(bytes));
        Assert.Equal(endPoint, SockAddr.Read(bytes[..length]).ToEndPoint());
    }

    [Fact]
    public void The_port_is_in_network_order_and_the_scope_at_24()
    {
        Span<byte> bytes = stackalloc byte[SockAddr.MaxLength];
        SockAddr.From(IPAddress.Parse("fe80::1%5"), 0x1234).Write(bytes);
        Assert.Equal([0x12, 0x34], bytes[2..4].ToArray());
        Assert.Equal(5u, BitConverter.ToUInt32(bytes[24..28]));
    }

    [Fact]
    public void A_mapped_IPv4_address_is_shown_as_IPv4()
    {
        var mapped = SockAddr.From(IPAddress.Parse("::ffff:10.1.2.3"), 5);
        Assert.Equal(new IPEndPoint(IPAddress.Parse("10.1.2.3"), 5), mapped.ToEndPoint());
    }

    [Fact]
    public void Bytes_that_are_no_address_read_as_none()
    {
        Assert.Equal(0, SockAddr.Read([]).Family);
        Assert.Equal(0, SockAddr.Read([2, 0, 1]).Family);
        Assert.Equal(0, SockAddr.Read([1, 0, 47, 0, 0, 0, 0, 0]).Family);
    }
}
