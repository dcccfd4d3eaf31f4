# The main job at full size: ten thousand connections from another process, held, inspected and closed from the shell.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
}

Describe 'Ten thousand idle connections' {
    BeforeAll {
        # What the runtime and the shell need once is not the connections' cost: the same with fewer of them first, and the
        # garbage of the start collected, so that the room for garbage is part of the base line.
        $server = Start-C10kServer -Name Idle -Workers 8
        $client = Open-TestClient -Argument 'echo', '--port', $server.Port, '--count', 500, '--messages', 20
        (Read-TestClient -Client $client).wrong | Should -Be 0
        $null = Close-TestClient -Client $client
        Wait-Until { $server.ConnectionCount -eq 0 }
        [GC]::Collect()
        $before = Get-ResidentMemory

        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 10000, '--timeout', 240
        $connected = Read-TestClient -Client $client
        $echo = Invoke-TestClient -Client $client -Line 'echo 1 64'
        $after = Get-ResidentMemory
    }

    AfterAll {
        if ($client) { $null = Close-TestClient -Client $client }
        if ($server) { $server.Dispose() }
    }

    It 'have echoed once each' {
        $connected.failed | Should -Be 0
        $echo.connections | Should -Be 10000
        $echo.wrong + $echo.failed | Should -Be 0
        $server.ConnectionCount | Should -Be 10000
    }

    It 'cost under 1 KiB of memory each' {
        $each = ($after - $before) / 10000
        $Host.UI.WriteLine("    $([int]$each) bytes of the process's memory for each of 10,000 connections")
        $each | Should -BeLessThan 1024
    }

    It 'cost under 1% of a processor' {
        # The best of five looks: what is measured is the server, and not the compiler that works in the background for a while.
        $best = 100.0
        foreach ($look in 1..5) {
            $process = [System.Diagnostics.Process]::GetCurrentProcess()
            $begun = $process.TotalProcessorTime
            $watch = [System.Diagnostics.Stopwatch]::StartNew()
            [System.Threading.Thread]::Sleep(2000)
            $process.Refresh()
            $percent = 100 * ($process.TotalProcessorTime - $begun).TotalSeconds / $watch.Elapsed.TotalSeconds
            if ($percent -lt $best) { $best = $percent }
            if ($best -lt 1) { break }
        }

        $Host.UI.WriteLine("    $($best.ToString('0.00')) % of a processor with 10,000 connections idle")
        $best | Should -BeLessThan 1
    }
}

Describe 'Ten thousand connections' {
    BeforeAll {
        $before = Get-ProcessLedger
        $server = Start-C10kServer -Name Main -Workers 8 -WriteTimeout 5m
        $client = Open-TestClient -Argument 'hold', '--port', $server.Port, '--count', 10000, '--never-read', 20, '--timeout', 240
        $connected = Read-TestClient -Client $client
        $seen = @{}
    }

    AfterAll {
        if ($client) { $null = Close-TestClient -Client $client }
        if ($server) { $server.Dispose() }
    }

    It 'are all connected, and the server says so' {
        $connected.count | Should -Be 10000
        $connected.failed | Should -Be 0
        Wait-Until { (Get-C10kServer Main).ConnectionCount -eq 10000 }
        (Get-C10kServer Main).PeakConnectionCount | Should -Be 10000
    }

    It 'echo on all, every byte verified' {
        $echo = Invoke-TestClient -Client $client -Line 'echo 3 200'
        $echo.connections | Should -Be 9980
        $echo.bytes | Should -Be (9980 * 3 * 200)
        $echo.wrong | Should -Be 0
        $echo.failed | Should -Be 0
    }

    It 'are spread over the workers with a difference of at most 1' {
        $counts = (Get-C10kWorker Main).ConnectionCount
        $counts | Should -HaveCount 8
        foreach ($count in $counts) { $count | Should -Be 1250 }
    }

    It 'each have a row' {
        $rows = Get-C10kConnection
        $rows.Count | Should -Be 10000
        [System.Collections.Generic.HashSet[long]]::new([long[]]$rows.Id).Count | Should -Be 10000
    }

    It 'that do not take their output are found when they are closed, exactly they' {
        Wait-Until { @(Get-C10kConnection | Where-Object ReadPaused).Count -eq 20 }
        $stuck = Get-C10kConnection | Where-Object ReadPaused
        $stuck | Should -HaveCount 20
        $stuck | Close-C10kConnection
        $closing = Get-C10kConnection | Where-Object State -EQ Closing
        $closing | Should -HaveCount 20
        foreach ($connection in $closing) {
            $connection.Id | Should -BeIn $stuck.Id
            $connection.CloseReason | Should -Be AdminClosed
            $connection.SendQueue | Should -BeGreaterThan 0
        }

        $seen.Closing = $closing.Id
        (Get-C10kServer Main).ConnectionCount | Should -Be 10000
    }

    It 'of one worker are closed, just those' {
        $mine = Get-C10kConnection | Where-Object Worker -EQ 3
        $mine | Should -HaveCount 1250
        $mine | Close-C10kConnection
        $others = @($mine.Where({ $_.Id -notin $seen.Closing }))
        $ended = Invoke-TestClient -Client $client -Line "wait ended=$($others.Count)"
        $ended.ended | Should -Be $others.Count
        $ended.reset | Should -Be 0
        Wait-Until { (Get-C10kServer Main).ConnectionCount -eq 10000 - $others.Count }
        foreach ($worker in Get-C10kWorker Main) {
            $expected = if ($worker.Id -eq 3) { 1250 - $others.Count } else { 1250 }
            $worker.ConnectionCount | Should -Be $expected
        }

        $echo = Invoke-TestClient -Client $client -Line 'echo 1 1000'
        $echo.connections | Should -Be (9980 - $others.Count)
        $echo.wrong + $echo.failed | Should -Be 0
    }

    It 'that read at last get all that was queued for them, and are gone' {
        $read = Invoke-TestClient -Client $client -Line 'read'
        $read.connections | Should -Be 20
        $read.ended | Should -Be 20
        $read.wrong | Should -Be 0
        Wait-Until { -not (Get-C10kConnection | Where-Object State -EQ Closing) }
    }

    It 'are gone after the stop, with every descriptor and thread, and the counters are those of the clients' {
        Stop-C10kServer Main
        $null = Invoke-TestClient -Client $client -Line 'wait ended=10000'
        $status = Invoke-TestClient -Client $client -Line 'status'
        $status.open | Should -Be 0
        $status.reset | Should -Be 0
        $server.State | Should -Be Stopped
        $server.Accepted | Should -Be $status.connected
        $server.Closed | Should -Be 10000
        $server.ConnectionCount | Should -Be 0
        $server.BytesReceived | Should -Be $status.sent
        $server.BytesSent | Should -Be $status.received
        $server.HandlerErrors | Should -Be 0
        Wait-ProcessLedger -Base $before
    }
}
