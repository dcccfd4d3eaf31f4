# Servers and programs that were not written for them: netcat, socat, rdate. Where one is missing its tests are skipped, and say so.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    Import-Module "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"

    # rdate is a tool of root's, and not on everybody's path.
    $folders = "$env:PATH".Split(':') + '/usr/sbin', '/sbin'

    # Skips the test unless all of these programs are there.
    function Assert-Program([string[]] $Name) {
        foreach ($program in $Name) {
            if (-not $folders.Where({ [System.IO.File]::Exists("$_/$program") }, 'First')) {
                Set-ItResult -Skipped -Because "$program is not installed"
            }
        }
    }

    # There are several programs of that name; -N, to end after the input, is OpenBSD's.
    function Assert-Netcat {
        Assert-Program nc
        if ((Invoke-Shell 'nc -h 2>&1').Output -notmatch '(?m)^\s*-N\s') {
            Set-ItResult -Skipped -Because 'the nc of this machine is not that of OpenBSD'
        }
    }

    # A line of the shell's, as an admin would type it; it ends within a minute, or is ended.
    function Invoke-Shell([string] $Line) {
        $start = [System.Diagnostics.ProcessStartInfo]::new('/bin/sh')
        $start.RedirectStandardOutput = $start.RedirectStandardError = $true
        $start.Environment['PATH'] = $folders -join ':'
        $start.Environment['LC_ALL'] = 'C'
        foreach ($text in '-c', $Line) { $start.ArgumentList.Add($text) }
        $process = [System.Diagnostics.Process]::Start($start)
        try {
            $output = $process.StandardOutput.ReadToEndAsync()
            $errors = $process.StandardError.ReadToEndAsync()
            if (-not $process.WaitForExit(180000)) { throw "Not within 180 s: $Line" }
            @{ Code = $process.ExitCode; Output = $output.Result; Errors = $errors.Result }
        } finally {
            if (-not $process.HasExited) { $process.Kill($true) }
            $process.Dispose()
        }
    }

    $base = Get-ProcessLedger
}

Describe 'A real client' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'reads Echo: nc' {
        Assert-Netcat
        $server = Start-C10kServer -Protocol Echo
        $answer = Invoke-Shell "printf 'hello\nworld\n' | nc -N 127.0.0.1 $($server.Port)"
        $answer.Output | Should -BeExactly "hello`nworld`n"
        $answer.Code | Should -Be 0
        Wait-Until { $server.Closed -eq 1 }
        (Get-C10kConnection -Closed).CloseReason | Should -Be PeerClosed
    }

    It 'reads Echo over IPv6: nc' {
        Assert-Netcat
        $server = Start-C10kServer -Address ::1
        (Invoke-Shell "echo six | nc -6 -N ::1 $($server.Port)").Output | Should -BeExactly "six`n"
    }

    It 'reads Echo over a Unix socket: socat' {
        Assert-Program socat
        $path = "$TestDrive/echo.sock"
        $server = Start-C10kServer -UnixPath $path
        $answer = Invoke-Shell "echo 'by file' | socat -t 20 - UNIX-CONNECT:$path"
        $answer.Output | Should -BeExactly "by file`n"
        $answer.Code | Should -Be 0
        Wait-Until { $server.Closed -eq 1 }
    }

    It 'gets back each of 8 MB through Echo<Where>: socat' -ForEach @(
        @{ Where = ''; Unix = $false }
        @{ Where = ' over a Unix socket'; Unix = $true }
    ) {
        Assert-Program socat
        $size = 8MB
        $bytes = [byte[]]::new($size)
        [System.Random]::new(7).NextBytes($bytes)
        $sent = "$TestDrive/sent"
        $received = "$TestDrive/received"
        [System.IO.File]::WriteAllBytes($sent, $bytes)
        $server = if ($Unix) { Start-C10kServer -UnixPath "$TestDrive/mass.sock" } else { Start-C10kServer }
        $place = if ($Unix) { "UNIX-CONNECT:$TestDrive/mass.sock" } else { "TCP:127.0.0.1:$($server.Port)" }
        $answer = Invoke-Shell "socat -t 20 - $place < $sent > $received"
        $answer.Errors | Should -BeNullOrEmpty
        $answer.Code | Should -Be 0
        $sums = foreach ($file in $sent, $received) {
            [System.Convert]::ToHexString([System.Security.Cryptography.SHA256]::HashData([System.IO.File]::ReadAllBytes($file)))
        }
        $sums[1] | Should -Be $sums[0]
        Wait-Until { $server.Closed -eq 1 }
        $server.BytesReceived | Should -Be $size
        $server.BytesSent | Should -Be $size
        (Get-C10kConnection -Closed).CloseReason | Should -Be PeerClosed
    }

    It 'reads Daytime: nc' {
        Assert-Netcat
        $server = Start-C10kServer -Protocol Daytime
        $before = [datetimeoffset]::Now.AddSeconds(-1)
        $answer = Invoke-Shell "nc 127.0.0.1 $($server.Port) < /dev/null"
        $answer.Code | Should -Be 0
        $answer.Output | Should -Match '^\w+day, \w+ \d+, \d{4} \d\d:\d\d:\d\d[+-]\d\d:\d\d\r\n$'
        $time = [datetimeoffset]::Parse($answer.Output, [cultureinfo]::InvariantCulture)
        $time | Should -BeGreaterOrEqual $before
        $time | Should -BeLessOrEqual ([datetimeoffset]::Now)
        Wait-Until { $server.Closed -eq 1 }
    }

    It 'reads Time: rdate' {
        Assert-Program rdate
        $server = Start-C10kServer -Protocol Time
        $before = [datetimeoffset]::Now.AddSeconds(-1)

        # -p: it prints the time and does not set the clock.
        $answer = Invoke-Shell "rdate -p -o $($server.Port) 127.0.0.1"
        $answer.Errors | Should -BeNullOrEmpty
        $answer.Code | Should -Be 0

        # For instance "Mon Nov 23 08:39:01 UTC 2026": what stands for the zone is the machine's, and no more is read of it.
        $shape = '^\w{3} (?<date>\w{3} +\d+) (?<time>\d\d:\d\d:\d\d) \S+ (?<year>\d{4})\s*$'
        $answer.Output | Should -Match $shape
        $parts = [regex]::Match($answer.Output, $shape).Groups
        $time = [datetime]::Parse("$($parts['date']) $($parts['year']) $($parts['time'])", [cultureinfo]::InvariantCulture)
        $time | Should -BeGreaterOrEqual $before.DateTime
        $time | Should -BeLessOrEqual ([datetime]::Now)
        Wait-Until { $server.Closed -eq 1 }
        $server.BytesSent | Should -Be 4
    }

    It 'reads the beginning of Chargen and goes: nc, head' {
        Assert-Netcat
        $server = Start-C10kServer -Protocol Chargen
        $answer = Invoke-Shell "nc 127.0.0.1 $($server.Port) < /dev/null | head -n 95"
        $answer.Code | Should -Be 0
        $lines = $answer.Output -split "`r`n"
        $lines | Should -HaveCount 96
        $lines[0] | Should -BeExactly (-join [char[]](32..103))
        $lines[94] | Should -BeExactly ('~' + -join [char[]](32..102))

        # nc dies of its broken pipe, and the server sees it.
        Wait-Until { $server.Closed -eq 1 }
        (Get-C10kConnection -Closed).CloseReason | Should -BeIn PeerClosed, Reset
        $server.HandlerErrors | Should -Be 0
    }

    It 'ends Chargen by its own end: socat' {
        Assert-Program socat
        $server = Start-C10kServer -Protocol Chargen
        $answer = Invoke-Shell "socat -t 20 - TCP:127.0.0.1:$($server.Port) < /dev/null | wc -c"
        $answer.Errors | Should -BeNullOrEmpty
        Wait-Until { $server.Closed -eq 1 }
        [long]$answer.Output | Should -Be $server.BytesSent
        (Get-C10kConnection -Closed).CloseReason | Should -Be PeerClosed
    }

    It 'sends Discard 8 MB and gets nothing: nc' {
        Assert-Netcat
        $server = Start-C10kServer -Protocol Discard
        (Invoke-Shell "head -c 8000000 /dev/zero | nc -N 127.0.0.1 $($server.Port)").Output | Should -BeNullOrEmpty
        Wait-Until { $server.Closed -eq 1 }
        $server.BytesReceived | Should -Be 8000000
    }
}
