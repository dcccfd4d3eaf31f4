using C10kServer.Engine.Native;

namespace C10kServer.Engine.Tests;

public class AcceptErrorsTests
{
    [Theory]
    [InlineData(Errno.EAGAIN, nameof(AcceptOutcome.Drained))]
    [InlineData(Errno.EINTR, nameof(AcceptOutcome.Again))]
    [InlineData(Errno.EMFILE, nameof(AcceptOutcome.Pause))]
    [InlineData(Errno.ENFILE, nameof(AcceptOutcome.Pause))]
    [InlineData(Errno.ENOBUFS, nameof(AcceptOutcome.Pause))]
    [InlineData(Errno.ENOMEM, nameof(AcceptOutcome.Pause))]
    [InlineData(Errno.ECONNABORTED, nameof(AcceptOutcome.Skip))]
    [InlineData(Errno.EPROTO, nameof(AcceptOutcome.Skip))]
    [InlineData(Errno.EPERM, nameof(AcceptOutcome.Skip))]
    [InlineData(Errno.ENETDOWN, nameof(AcceptOutcome.Skip))]
    [InlineData(Errno.EHOSTUNREACH, nameof(AcceptOutcome.Skip))]
    [InlineData(9, nameof(AcceptOutcome.Fault))]
    [InlineData(22, nameof(AcceptOutcome.Fault))]
    public void Each_error_has_its_outcome(int errno, string outcome) => Assert.Equal(outcome, AcceptErrors.Outcome(errno).ToString());
}
